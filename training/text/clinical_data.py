"""Rows for the clinical text model: queries with an intent, sentences with entity spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.tasks.clinical_text import windows
from models.text.entities import tags_of
from models.text.pieces import PieceReader, Pieces
from training.text.readers import rows, text_of

KINDS = ("sym", "bod", "dis", "dru", "pro", "ite", "mic", "equ", "dep")
"""Entity types of CMeEE: symptom, body site, disease, drug, procedure, test item, microbe,
equipment, department."""
NO_INTENT = -1


@dataclass(frozen=True)
class Row:
    """One text as pieces: an intent's number or NO_INTENT, and tags [9, L] or None."""

    ids: NDArray[np.int64]
    intent: int
    tags: NDArray[np.int64] | None
    group: int


def queries(data_dir: Path, part: str, reader: PieceReader, limit: int | None) -> list[
    tuple[Row, str]
]:  # fmt: skip
    """KUAKE-QIC rows with their label in words."""
    return [
        (Row(reader(text_of(row, "query")).ids, NO_INTENT, None, number), text_of(row, "label"))
        for number, row in enumerate(rows(data_dir, f"cblue/KUAKE-QIC.{part}", limit))
    ]


def sentences(data_dir: Path, reader: PieceReader, longest: int, limit: int | None) -> list[Row]:
    """CMeEE sentences, cut where they are longer than the encoder; group = number of the line."""
    found = []
    for number, row in enumerate(rows(data_dir, "cblue/CMeEE.dev", limit)):
        entities = row["entities"]
        assert isinstance(entities, list)
        for begin, part in windows(text_of(row, "text"), longest - 1):
            pieces = reader(part)
            tags = np.stack(
                [
                    tags_of(
                        _pieces_of(
                            pieces,
                            [
                                (e["start_idx"] - begin, e["end_idx"] + 1 - begin)
                                for e in entities
                                if e["type"] == kind
                            ],
                        ),
                        len(pieces.spans),
                    )
                    for kind in KINDS
                ]
            )
            found.append(Row(pieces.ids, NO_INTENT, tags, number))
    return found


def _pieces_of(pieces: Pieces, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of characters (end exclusive) as spans of pieces (last inclusive); overlaps dropped."""
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
