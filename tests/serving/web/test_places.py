"""Addresses of passages, and how two wordings are shown side by side."""

from __future__ import annotations

import pytest

from serving.web.places import anchor, passage_address
from serving.web.wording_changes import Part, changes


@pytest.mark.parametrize(
    ("passage", "address"),
    [
        ("chest-pain#ask:2", "chest-pain#ask:2"),
        ("shelf/a b.pdf~0af3", "shelf/a%20b.pdf#0af3"),
        ("shelf/x.xml#key~0af3-2", "shelf/x.xml%23key#0af3-2"),
        ("shelf/~old/y?.md~0af3", "shelf/~old/y%3F.md#0af3"),
    ],
)
def test_an_id_alone_says_where_a_passage_is_read(passage: str, address: str) -> None:
    assert passage_address(passage) == f"/console/knowledge/documents/{address}"
    assert passage_address(passage).endswith("#" + anchor(passage))


def test_only_what_differs_is_marked() -> None:
    old, new = changes("请马上拨打120。", "请立即拨打120。")
    assert old == [Part("请", False), Part("马上", True), Part("拨打120。", False)]
    assert [part.text for part in new if part.changed] == ["立即"]
    old, new = changes("call 120 at once", "call 120 immediately")
    assert [part.text for part in old if part.changed] == ["at once"]


@pytest.mark.parametrize(("before", "after"), [("", "新"), ("a b", "a b"), ("头痛 x", "x 头疼!")])
def test_the_parts_are_the_whole_texts(before: str, after: str) -> None:
    old, new = changes(before, after)
    assert ("".join(p.text for p in old), "".join(p.text for p in new)) == (before, after)
