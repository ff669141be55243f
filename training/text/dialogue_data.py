"""The dialogue status set as rows: one per item that a window may speak of, grouped by dialogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.facts import Status
from models.tasks.dialogue_status import LABELS
from models.text.dialogue import Candidate, DialogueReader, dialogue_items
from models.text.dialogue_features import BUCKETS, features
from models.text.dialogue_labels import Pair, symptom_pairs
from training.text.readers import Row, list_of, rows

# Where annotators gave an item two statuses the model learns what was found, not what is open.
_FIRST: tuple[Status, ...] = ("present", "absent", "unknown")


@dataclass(frozen=True)
class Window:
    """A window of a dialogue: the true pairs, and those that the rules find."""

    dialogue: int
    truth: frozenset[Pair]
    ruled: frozenset[Pair]


@dataclass(frozen=True)
class DialogueData:
    """`places` [N] are windows, `rows` [N, BUCKETS], `labels` [N] places in `LABELS`."""

    windows: list[Window]
    places: NDArray[np.int64]
    items: list[str]
    rows: sparse.csr_matrix
    labels: NDArray[np.int64]
    some: list[Candidate]

    @property
    def dialogues(self) -> NDArray[np.int64]:
        """The dialogue of every row [N]."""
        of = np.array([window.dialogue for window in self.windows])
        found: NDArray[np.int64] = of[self.places]
        return found


def read_dialogues(data_dir: Path, name: str, limit: int | None = None) -> DialogueData:
    """The set's first `limit` dialogues; `some` keeps every 50th candidate for parity."""
    reader = DialogueReader(lexicon(), dialogue_items())
    windows: list[Window] = []
    candidates: list[tuple[int, Candidate]] = []
    for number, row in enumerate(rows(data_dir, name, limit)):
        for utterances, labels in _windows(row):
            truth = frozenset(symptom_pairs(labels))
            windows.append(Window(number, truth, reader.read(utterances)))
            candidates += [(len(windows) - 1, c) for c in reader.candidates(utterances)]
    labels_of = [_label(windows[place].truth, c.item) for place, c in candidates]
    return DialogueData(
        windows=windows,
        places=np.array([place for place, _ in candidates], dtype=np.int64),
        items=[c.item for _, c in candidates],
        rows=matrix([c for _, c in candidates]),
        labels=np.array([LABELS.index(label) for label in labels_of], dtype=np.int64),
        some=[c for _, c in candidates[::50]],
    )


def matrix(candidates: list[Candidate]) -> sparse.csr_matrix:
    """Features [N, BUCKETS] of candidates."""
    found = [features(candidate) for candidate in candidates]
    ends = np.cumsum([0, *(len(ids) for ids, _ in found)])
    ids, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    return sparse.csr_matrix((weights, ids, ends), shape=(len(found), BUCKETS))


def _windows(row: Row) -> list[tuple[list[str], list[str]]]:
    windows = row["windows"]
    assert isinstance(windows, list)
    return [(list_of(window, "utterances"), list_of(window, "labels")) for window in windows]


def _label(truth: frozenset[Pair], item: str) -> Status | None:
    return next((status for status in _FIRST if (item, status) in truth), None)
