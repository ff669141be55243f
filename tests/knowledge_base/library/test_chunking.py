"""Chunks keep to sections and to a length, and keep their ids while they stay as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.library.chunking import LONGEST, chunks, language_of, weight
from knowledge_base.library.document import Block, Document

LONG = " ".join(f"Sentence {n} says what it says about cough." for n in range(120))
WORDS = st.text(alphabet="ab 痛胸.。\n", min_size=1, max_size=900).filter(str.strip)


def document(*blocks: Block) -> Document:
    return Document("Cough", blocks)


def test_small_blocks_of_a_section_are_one_chunk_and_sections_are_not_mixed() -> None:
    found = chunks(
        document(Block(("A",), "one"), Block(("A",), "two", "item"), Block(("B",), "three")), "d"
    )
    assert [(c.path, c.text) for c in found] == [(("A",), "one\ntwo"), (("B",), "three")]


def test_a_long_block_is_cut_between_sentences() -> None:
    source = document(Block((), "before"), Block((), LONG, page=3))
    found = chunks(source, "d")
    assert len(found) > 3
    assert all(c.text.endswith("cough.") or c.text == "before" for c in found)
    assert all(source.text.startswith(c.text.split("\n")[0], c.start) for c in found)
    assert found[-1].page == 3


def test_every_part_of_a_long_table_has_its_head() -> None:
    rows = "\n".join(
        f"drug {n} | given by mouth with food and water | never with drug {n + 1}"
        for n in range(60)
    )
    source = document(Block((), f"drug | how | not with\n{rows}", "table"))
    found = chunks(source, "d")
    assert len(found) > 2
    assert all(c.text.startswith("drug | how | not with\n") for c in found)
    assert sum(c.text.count("\n") for c in found) == 60
    for chunk in found:
        assert source.text.startswith(chunk.text.split("\n")[1], chunk.start)


def test_what_is_written_elsewhere_changes_no_id() -> None:
    before = chunks(document(Block(("A",), "one"), Block(("B",), "two")), "d")
    after = chunks(
        document(Block(("0",), "new"), Block(("A",), "one"), Block(("B",), "two, and more")), "d"
    )
    assert after[1].id == before[0].id
    assert after[2].id != before[1].id
    assert len({c.id for c in after}) == 3


def test_the_same_words_twice_in_a_section_have_two_ids() -> None:
    found = chunks(document(Block(("A",), "x"), Block(("B",), "y"), Block(("A",), "x")), "d")
    assert len({c.id for c in found}) == 3


def test_the_language_is_that_of_most_letters() -> None:
    assert language_of("服用 ibuprofen 后胸口疼痛、出汗") == "zh"
    assert language_of("The Chinese name is 胸痛, as written in the national guideline") == "en"
    assert language_of("12.5") == "en"


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_nothing_is_lost_and_nothing_is_too_long(texts: list[str]) -> None:
    source = document(*(Block((), " ".join(text.split())) for text in texts))
    found = chunks(source, "d")
    assert "".join("".join(c.text.split()) for c in found) == "".join(source.text.split())
    assert all(weight(c.text) <= LONGEST + 1 for c in found)
