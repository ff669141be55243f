"""The linear half of a model that reads two texts: machines over `PairFeatures`, one per task.

It generalises from few groups of queries where the encoder learns them by heart, and the encoder
knows what words mean: together they are better than either (`pair_halves.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from tokenizers import Tokenizer

from models.text.pieces import SPECIAL, UNKNOWN
from training.text.finetune import Ids, padded
from training.text.linear import Linear, fit
from training.text.pair_features import NUMBERS, PairFeatures
from training.text.sparse import Floats

_BATCH = 256
NUMBERS_WEIGH = 0.1
"""A standardised number beside the runs of a pair, whose weights are a unit vector together."""


def rarity(vocabulary: Path, texts: Sequence[Ids]) -> Floats:
    """ln((N + 1) / (df + 1)) of every piece [V] in N texts of pieces; 0 for punctuation.

    A piece that no text holds is as rare as can be, and so is one that the vocabulary lacks.
    """
    tokenizer = Tokenizer.from_file(str(vocabulary))
    held = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for text in texts:
        held[np.unique(text)] += 1
    found = np.log((len(texts) + 1) / (held + 1))
    for number in range(len(found)):
        piece = tokenizer.id_to_token(number) or ""
        if piece in SPECIAL or not any(c.isalnum() for c in piece):
            found[number] = 0.0
    found[tokenizer.token_to_id(UNKNOWN)] = np.log(len(texts) + 1)
    return found.astype(np.float32)


@dataclass(frozen=True)
class PairRows:
    """Runs of each pair as unit vectors [N, rows] and its numbers [N, NUMBERS]."""

    runs: sparse.csr_matrix
    numbers: Floats

    def part(self, rows: NDArray[np.intp]) -> PairRows:
        """Some pairs only."""
        return PairRows(self.runs[rows], self.numbers[rows])


@torch.inference_mode()
def pair_rows(features: PairFeatures, pairs: Sequence[Ids]) -> PairRows:
    """What the linear machines read of pairs, given as rows of pieces."""
    order = np.argsort([len(pair) for pair in pairs], kind="stable")
    runs: list[Ids] = [np.zeros(0, dtype=np.int64)] * len(pairs)
    numbers = np.zeros((len(pairs), NUMBERS), dtype=np.float32)
    for begin in range(0, len(order), _BATCH):
        places = order[begin : begin + _BATCH]
        ids, told = features(padded([pairs[i] for i in places]))
        numbers[places] = told.numpy()
        for place, row in zip(places, ids.numpy(), strict=True):
            runs[place] = row[row > 0]
    weights = [np.full(len(row), max(1, len(row)) ** -0.5, dtype=np.float32) for row in runs]
    ends = np.cumsum([0, *(len(row) for row in runs)])
    shape = (len(pairs), features.rows)
    matrix = sparse.csr_matrix((np.concatenate(weights), np.concatenate(runs), ends), shape=shape)
    return PairRows(matrix, numbers)


@dataclass(frozen=True)
class PairMachine:
    """Scores = runs @ weight + standardised numbers @ told + bias, for one task's classes."""

    machine: Linear
    mean: Floats
    spread: Floats

    def scores(self, rows: PairRows) -> Floats:
        """Scores [N, C]."""
        return self.machine.scores(_side_by_side(rows, self.mean, self.spread))


def _side_by_side(rows: PairRows, mean: Floats, spread: Floats) -> sparse.csr_matrix:
    told = (rows.numbers - mean) / spread * np.float32(NUMBERS_WEIGH)
    return sparse.hstack([rows.runs, sparse.csr_matrix(told)]).tocsr()


def fit_machine(
    rows: PairRows, labels: NDArray[np.int64], classes: int, cost: float, seed: int
) -> PairMachine:
    """One-vs-rest linear support vector machines."""
    mean = rows.numbers.mean(axis=0)
    spread = rows.numbers.std(axis=0) + np.float32(1e-3)
    weights = np.ones(len(labels), dtype=np.float32)
    joined = _side_by_side(rows, mean, spread)
    return PairMachine(fit(joined, labels, weights, classes, cost, seed), mean, spread)
