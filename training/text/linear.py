"""The department classifier: a linear model in two steps over sparse tf-idf rows.

Step 1, the base: one linear support vector machine per department, on the encyclopedia and the
consults. It knows every department, but it reads prose more than patients. Step 2, the
adaptation: the same kind of machine on how patients write, whose input is the row itself and
the base's scores of it. Both are linear, so together they are one matrix, and that ships.
liblinear's dual solver runs on one CPU core and needs seconds where gradient descent on the
same loss needed minutes; a GPU is of no use to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

from training.text.sparse import Floats, Rows

Names = NDArray[np.str_]
_NEVER = -1.5  # the score of a department without a row: just under the margin


@dataclass(frozen=True)
class Linear:
    """Scores = rows @ weight [V, C] + bias [C]."""

    weight: Floats
    bias: Floats

    def scores(self, rows: sparse.csr_matrix) -> Floats:
        """Scores [N, C] of tf-idf rows [N, V]."""
        result: Floats = np.asarray(rows @ self.weight + self.bias, dtype=np.float32)
        return result


def row_weights(
    labels: Rows, sources: Names, shares: Mapping[str, float], class_balance: float
) -> Floats:
    """Weights [N] with sum 1: each source has its share, however many rows it brings.

    Inside a source a department's rows weigh count ** -class_balance each: 1 weighs all
    departments alike, 0 by their rows. Rows of a source without a share weigh 0.
    """
    weights = np.zeros(len(labels), dtype=np.float64)
    for source, share in shares.items():
        mine = sources == source
        if mine.any():
            counts = np.bincount(labels[mine]).astype(np.float64)
            spread = counts[labels[mine]] ** -class_balance
            weights[mine] = share * spread / spread.sum()
    unit: Floats = (weights / weights.sum()).astype(np.float32)
    return unit


def fit(
    rows: sparse.csr_matrix, labels: Rows, weights: Floats, classes: int, cost: float, seed: int
) -> Linear:
    """One-vs-rest linear SVMs; a department without a row gets the constant score -1.5."""
    used = weights > 0
    machine = LinearSVC(C=cost, dual=True, max_iter=60, tol=0.02, random_state=seed)
    machine.fit(rows[used], labels[used], sample_weight=weights[used])
    weight = np.zeros((rows.shape[1], classes), dtype=np.float32)
    bias = np.full(classes, _NEVER, dtype=np.float32)
    if len(machine.classes_) == 2:  # liblinear keeps one machine for two classes
        weight[:, machine.classes_] = np.vstack([-machine.coef_, machine.coef_]).T
        bias[machine.classes_] = [-machine.intercept_[0], machine.intercept_[0]]
    else:
        weight[:, machine.classes_] = machine.coef_.T
        bias[machine.classes_] = machine.intercept_
    return Linear(weight, bias)


@dataclass(frozen=True)
class Adapted:
    """Step 2: a linear model of the row and of the base's scores plus 1, side by side."""

    step: Linear

    def scores(self, rows: sparse.csr_matrix, base_scores: Floats) -> Floats:
        """Scores [N, C] of rows [N, V] whose base scores [N, C] are given."""
        return self.step.scores(_joined(rows, base_scores))

    def merged(self, base: Linear) -> Linear:
        """Both steps as one linear model of the row: what ships."""
        columns = len(base.weight)
        mixing = self.step.weight[columns:]
        weight = self.step.weight[:columns] + base.weight @ mixing
        bias = self.step.bias + (base.bias + 1.0) @ mixing
        return Linear(weight.astype(np.float32), bias.astype(np.float32))


def _joined(rows: sparse.csr_matrix, base_scores: Floats) -> sparse.csr_matrix:
    return sparse.hstack([rows, sparse.csr_matrix(base_scores + 1.0)]).tocsr()


def fit_adapted(
    rows: sparse.csr_matrix, base_scores: Floats, labels: Rows, weights: Floats, cost: float,
    seed: int,
) -> Adapted:  # fmt: skip
    """Step 2.

    `base_scores` [N, C] must come from a base that did not see the row (`cross_fit`): scores
    of rows it has seen are too good, and step 2 would trust them too much.
    """
    classes = base_scores.shape[1]
    return Adapted(fit(_joined(rows, base_scores), labels, weights, classes, cost, seed))


def cross_fit(
    rows: sparse.csr_matrix, labels: Rows, weights: Floats, groups: Sequence[str],
    classes: int, cost: float, seed: int,
) -> Floats:  # fmt: skip
    """Base scores [N, C] of every row from a base that saw no row of its group (two halves)."""
    rng = np.random.default_rng(seed)
    half_of = {group: int(rng.integers(2)) for group in dict.fromkeys(groups)}
    half = np.array([half_of[group] for group in groups])
    scores = np.zeros((rows.shape[0], classes), dtype=np.float32)
    for part in (0, 1):
        base = fit(
            rows[half != part], labels[half != part], weights[half != part], classes, cost, seed
        )
        scores[half == part] = base.scores(rows[half == part])
    return scores
