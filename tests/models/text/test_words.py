"""Words of a text and patterns of listed words."""

from __future__ import annotations

import re

from models.text.words import alternatives


def test_of_two_listed_words_the_longer_is_found() -> None:
    found = re.search(alternatives(["没", "没有"], whole=False), "没有发烧")
    assert found is not None
    assert found.group() == "没有"


def test_whole_words_are_not_found_inside_others() -> None:
    pattern = re.compile(alternatives(["no", "not"], whole=True))
    assert pattern.search("no pain")
    assert not pattern.search("nose")
    assert not pattern.search("cannot")


def test_marks_in_a_listed_word_stand_for_themselves() -> None:
    assert not re.search(alternatives(["r/o", "a.b"], whole=True), "axb")
