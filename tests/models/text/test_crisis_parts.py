"""A crisis is found by its parts, in one sentence, and everyday look-alikes cancel it."""

from __future__ import annotations

import time

import pytest

from knowledge_base.lexicon.crisis import crisis_lexicon
from knowledge_base.lexicon.findings import lexicon
from models.text.crisis import crisis_reader
from models.text.normalise import normalise


def codes(text: str) -> set[str]:
    return {m.code for m in crisis_reader().extend(normalise(text), [])}


def test_every_pattern_names_a_finding_of_the_lexicon() -> None:
    listed = crisis_lexicon()
    named = {p.code for words in (listed.zh, listed.en) for p in words.patterns}
    assert named <= set(lexicon())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("一看到那把刀就想往他身上捅", "homicidal_ideation"),
        ("我怕我会把孩子弄死", "homicidal_ideation"),
        ("想從樓上往下跳", "suicidal_ideation"),
        ("活着对我来说就是煎熬", "suicidal_ideation"),
        ("她用刀片割自己的腿", "self_harm"),
        ("后爸半夜进我房间", "sexual_assault"),
        ("总听见有个男的命令我去撞车", "command_hallucinations"),
        ("老公喝醉了又打我", "domestic_violence"),
        ("I keep picturing throwing the baby out of the window", "homicidal_ideation"),
        ("I think about hanging myself", "suicidal_ideation"),
        ("there is nothing left to live for", "suicidal_ideation"),
        ("I slice my thighs with a razor", "self_harm"),
        ("my partner locked me in", "domestic_violence"),
        ("the voices keep telling me to jump", "command_hallucinations"),
    ],
)
def test_parts_in_one_sentence_are_a_crisis(text: str, code: str) -> None:
    assert code in codes(text)


@pytest.mark.parametrize(
    "text",
    [
        "他打我电话说要开会",
        "想打死这只蚊子",
        "切菜不小心被刀割了手腕",
        "电影里他想跳楼",
        "想早点去医院。楼上邻居跳舞",
        "I cut my wrist on a knife while cooking, by mistake",
        "my boyfriend pushed me to see a doctor",
        "she kicks me, I am 30 weeks pregnant",
        "I am thinking of shooting some photos",
        "when I'm gone on holiday who refills this",
        "I want to hurt less",
    ],
)
def test_everyday_sentences_are_none(text: str) -> None:
    assert codes(text) == set()


def test_the_parts_must_stand_in_one_sentence() -> None:
    assert codes("我想喝水。楼上的人跳楼") == set()
    assert codes("I want to sleep. Somebody will jump off a wall in sport") == set()


def test_a_mention_spans_its_parts_and_yields_to_the_same_listed_one() -> None:
    text = normalise("医生，我想往下跳")
    [found] = crisis_reader().extend(text, [])
    assert text[found.start : found.end] == "想往下跳"
    assert crisis_reader().extend(text, [found]) == [found]


def test_a_long_text_is_read_in_a_moment() -> None:
    for unit in ("想", "想他刀", "I want to ", "my husband he "):
        text = normalise((unit * 8000)[:8000])
        start = time.perf_counter()
        crisis_reader().extend(text, [])
        assert time.perf_counter() - start < 1.0
