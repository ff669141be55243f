"""Extractive answers: sentences keep their place, weak ones stay out, nothing is invented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from knowledge_base.answers.answer import (
    LEAST,
    MOST_PASSAGES,
    Answer,
    chosen_of,
    compose,
    gather,
)
from knowledge_base.answers.quotes import MOST_QUOTES, Quote
from knowledge_base.library.parts import LONGEST, MOST_SENTENCES, parts
from knowledge_base.search.entry import Cited, Entry, Shown
from knowledge_base.search.index import KnowledgeIndex
from tests.knowledge_base.embedders import HashedTokens


def quote(passage: str, text: str, year: int = 2020) -> Quote:
    document = passage.partition("~")[0]
    source = Cited("s1", "WHO", "Guideline", year, "ISBN 0", checked=True)
    entry = Entry(
        id=passage, kind="document", document=document,
        shown={"en": Shown("Guideline", ("Chapter",), text)}, readers=("physician",),
        departments=(), year=year, licence="CC-BY-4.0", grade="guideline", sources=(source,),
    )  # fmt: skip
    [spans, *_] = list(parts(text))
    return Quote(entry, "en", spans)


def judged(*probabilities: float) -> NDArray[np.float32]:
    return np.array(probabilities, dtype=np.float32)


FIRST = quote("a~1", "Call for help at once. Then press on the chest.")
SECOND = quote("b~1", "Antibiotics do not cure a cold.")
THIRD = quote("c~1", "Drink enough water on hot days.")


def texts(answer: Answer) -> list[str]:
    return [sentence.text for sentence in answer.sentences]


def test_every_sentence_stands_where_it_says() -> None:
    answer = chosen_of([SECOND, FIRST], judged(0.8, 0.9))
    assert texts(answer) == [
        "Call for help at once.", "Then press on the chest.", "Antibiotics do not cure a cold.",
    ]  # fmt: skip
    for sentence in answer.sentences:
        shown = sentence.quote.shown.text
        assert shown[sentence.start : sentence.end] == sentence.text
    assert answer.confidence == pytest.approx(0.9)


def test_under_the_threshold_nothing_is_found_and_the_nearest_is_shown() -> None:
    answer = chosen_of([FIRST, SECOND], judged(0.1, LEAST - 0.01))
    assert not answer.found
    assert answer.nearest == (SECOND, FIRST)
    assert answer.confidence == pytest.approx(LEAST - 0.01)
    assert chosen_of([], judged()) == Answer((), 0.0, (), ())


def test_a_weak_quote_does_not_stand_beside_a_strong_one() -> None:
    assert texts(chosen_of([SECOND, THIRD], judged(0.95, 0.52))) == [SECOND.text]


def test_what_two_passages_say_alike_is_said_once_and_both_are_named() -> None:
    twin = quote("z~1", SECOND.text)
    [sentence] = chosen_of([SECOND, twin], judged(0.9, 0.9)).sentences
    assert (sentence.quote.entry.id, sentence.also) == ("b~1", ("z~1",))


def test_at_most_so_many_passages_are_quoted() -> None:
    many = [quote(f"{n}~1", f"Rule number {n} is about topic {'x' * n}.") for n in range(9)]
    answer = chosen_of(many, judged(*[0.9] * 9))
    assert len({s.quote.entry.id for s in answer.sentences}) == MOST_PASSAGES


@given(st.text(max_size=900))
def test_parts_are_whole_sentences_in_order_and_never_too_long(text: str) -> None:
    end = 0
    for spans in parts(text):
        assert 1 <= len(spans) <= MOST_SENTENCES
        assert len(spans) == 1 or spans[-1][1] - spans[0][0] <= LONGEST
        for start, stop in spans:
            assert end <= start < stop <= len(text)
            end = stop


def test_the_cards_answer_through_search() -> None:
    index = KnowledgeIndex.build(HashedTokens())
    found = gather(index, "被狗咬了伤口怎么处理", "zh")
    assert 0 < len(found.quotes) == len(found.texts) <= MOST_QUOTES
    assert any(one.entry.document == "animal-bite-rabies" for one in found.quotes)
    assert all(one.language == "zh" for one in found.quotes)
    sure = judged(*[0.999] * len(found.quotes))
    first = compose(found, sure).sentences[0]
    assert first.quote.entry.document == "animal-bite-rabies"
    assert first.probability > compose(found, 1 - sure).confidence
    nothing = gather(index, "zzzz qqqq", "en")
    assert nothing.quotes == ()
    assert not compose(nothing, judged()).found
