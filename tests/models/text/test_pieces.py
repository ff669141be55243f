"""The pieces that the text encoders read, with a shipped vocabulary."""

from __future__ import annotations

import pytest

from models.repository import ModelRepository
from models.text.pieces import VOCABULARY, PieceReader

FILE = ModelRepository().get("urgency").folder / VOCABULARY


@pytest.mark.parametrize("text", ["胸口痛", "chest pain", "头痛3天，39.5度"])
def test_spans_point_into_the_text(text: str) -> None:
    pieces = PieceReader(FILE)(text)
    assert len(pieces.ids) == 1 + len(pieces.spans)
    joined = "".join(text[begin:end] for begin, end in pieces.spans)
    assert joined == text.replace(" ", "")


def test_without_a_limit_every_piece_is_kept_and_with_one_no_more() -> None:
    text = "痛" * 5000
    assert len(PieceReader(FILE)(text).ids) == 5001
    cut = PieceReader(FILE, 40)(text)
    assert (len(cut.ids), len(cut.spans)) == (40, 39)
