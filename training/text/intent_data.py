"""Queries for the intent model: with a label, and without one for the student to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge_base.lexicon.intents import intents
from training.text.readers import rows, text_of

SET = "cblue/KUAKE-QIC"
UNMARKED = {
    "cblue/KUAKE-QTR.train": ("query", "title"),
    "cblue/KUAKE-QQR.train": ("query1", "query2"),
    "cblue/CHIP-STS.train": ("text1", "text2"),
}
"""Sets of queries whose own labels are not read, and the fields of the queries."""


def labelled(data_dir: Path, part: str, limit: int | None) -> tuple[list[str], NDArray[np.int64]]:
    """Queries of one part and the numbers of their intents."""
    numbers = {name["zh"]: number for number, name in enumerate(intents().values())}
    found = list(rows(data_dir, f"{SET}.{part}", limit))
    labels = [numbers[text_of(row, "label")] for row in found]
    return [text_of(row, "query") for row in found], np.array(labels, dtype=np.int64)


def unlabelled(data_dir: Path, size: int, seed: int, limit: int | None) -> list[str]:
    """At most `size` different queries, none of them of SET."""
    known = {
        text_of(row, "query")
        for part in ("train", "dev")
        for row in rows(data_dir, f"{SET}.{part}")
    }
    found = dict.fromkeys(
        text_of(row, field)
        for name, fields in UNMARKED.items()
        for row in rows(data_dir, name, limit)
        for field in fields
    )
    fresh = [query for query in found if query not in known]
    order = np.random.default_rng(seed).permutation(len(fresh))[:size]
    return [fresh[i] for i in order]
