"""Rows for the entity tagger: sentences as pieces with tags, and the spans that were marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.tasks.entities import windows
from models.text.entities import tags_of
from models.text.names import NameLists
from models.text.pieces import PieceReader, Pieces
from training.text.readers import rows, text_of

SET = "cblue/CMeEE.dev"
KINDS = ("sym", "bod", "dis", "dru", "pro", "ite", "mic", "equ", "dep")
"""Entity types of CMeEE: symptom, body site, disease, drug, procedure, test item, microbe,
equipment, department."""
Mark = tuple[str, int, int]
"""A type and its characters, end exclusive."""


@dataclass(frozen=True)
class Sentence:
    """One window of a line: `ids` and `names` int64 [L], START first.

    `tags` int64 [9, L - 1]. `spans` are the pieces' characters in the line, which `group` numbers.
    """

    ids: NDArray[np.int64]
    names: NDArray[np.int64]
    tags: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]
    group: int


def sentences(
    data_dir: Path, reader: PieceReader, names: NameLists, longest: int, limit: int | None
) -> tuple[list[Sentence], list[frozenset[Mark]]]:
    """All windows, and every line's marked entities as they stand in the file."""
    found, marks = [], []
    for number, row in enumerate(rows(data_dir, SET, limit)):
        entities = row["entities"]
        assert isinstance(entities, list)
        marked = [(str(e["type"]), int(e["start_idx"]), int(e["end_idx"]) + 1) for e in entities]
        marks.append(frozenset(marked))
        for begin, part in windows(text_of(row, "text"), longest - 1):
            pieces = reader(part)
            found.append(
                Sentence(
                    pieces.ids,
                    names.codes(part, pieces.spans),
                    _tags(pieces, [(kind, a - begin, b - begin) for kind, a, b in marked]),
                    tuple((a + begin, b + begin) for a, b in pieces.spans),
                    number,
                )
            )
    return found, marks


def _tags(pieces: Pieces, marked: Sequence[Mark]) -> NDArray[np.int64]:
    """Tags [9, L - 1] of one window."""
    length = len(pieces.spans)
    of_kind = ([(a, b) for kind, a, b in marked if kind == wanted] for wanted in KINDS)
    return np.stack([tags_of(_pieces_of(pieces, spans), length) for spans in of_kind])


def _pieces_of(pieces: Pieces, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of characters as spans of pieces (last inclusive).

    The set marks no two overlapping entities of one type; should it, the first is kept.
    """
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        inside = [
            place
            for place, (first, last) in enumerate(pieces.spans)
            if first < end and begin < last
        ]
        if inside and (not found or inside[0] > found[-1][1]):
            found.append((inside[0], inside[-1]))
    return found
