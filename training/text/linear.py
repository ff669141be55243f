"""The department classifier: a linear model in two steps over sparse tf-idf rows.

Step 1, the base: one linear support vector machine per department, on the encyclopedia and the
consults. It is cheap, and it orders departments well, but its scores are no probabilities and
it reads prose, not patients. Step 2, the adaptation: a multinomial logistic regression on how
patients write, whose input is the row itself and the base's scores. Both are linear, so the
sum of both is one matrix, and that is what ships.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

from training.text.sparse import Floats, Rows

Names = NDArray[np.str_]


@dataclass(frozen=True)
class Linear:
    """Scores = rows @ weight [V, C] + bias [C]."""

    weight: Floats
    bias: Floats

    def scores(self, rows: sparse.csr_matrix) -> Floats:
        """Scores [N, C] of tf-idf rows [N, V]."""
        result: Floats = np.asarray(rows @ self.weight + self.bias, dtype=np.float32)
        return result


@dataclass(frozen=True)
class AdaptSettings:
    """How step 2 learns.

    `source_share`: share of the loss that each source has, however many rows it brings.
    `class_balance`: 1 weighs all departments of a source alike, 0 by their rows.
    `row_penalty`, `base_penalty`: L2 on the row weights, and on how far the use of the base's
    scores may leave `base_scale` times the identity.
    """

    source_share: Mapping[str, float]
    class_balance: float = 0.5
    smoothing: float = 0.05
    row_penalty: float = 1e-5
    base_penalty: float = 1e-4
    base_scale: float = 4.0
    iterations: int = 40


def fit_base(
    rows: sparse.csr_matrix, labels: Rows, weights: Floats, classes: int, cost: float, seed: int
) -> Linear:
    """One-vs-rest linear SVMs (liblinear, dual); a department without a row scores -1 always."""
    machine = LinearSVC(C=cost, dual=True, max_iter=60, tol=0.02, random_state=seed)
    machine.fit(rows, labels, sample_weight=weights)
    weight = np.zeros((rows.shape[1], classes), dtype=np.float32)
    bias = np.full(classes, -1.0, dtype=np.float32)
    if len(machine.classes_) == 2:  # liblinear keeps one row for two classes
        weight[:, machine.classes_] = np.vstack([-machine.coef_, machine.coef_]).T
        bias[machine.classes_] = [-machine.intercept_[0], machine.intercept_[0]]
    else:
        weight[:, machine.classes_] = machine.coef_.T
        bias[machine.classes_] = machine.intercept_
    return Linear(weight, bias)


def row_weights(labels: Rows, sources: Names, settings: AdaptSettings) -> Floats:
    """Weights [N] with sum 1: each source has its share, spread over departments by balance."""
    weights = np.zeros(len(labels), dtype=np.float64)
    for source, share in settings.source_share.items():
        mine = sources == source
        if mine.any():
            counts = np.bincount(labels[mine])
            spread = counts[labels[mine]].astype(np.float64) ** -settings.class_balance
            weights[mine] = share * spread / spread.sum()
    return (weights / weights.sum()).astype(np.float32)


def _torch_sparse(rows: sparse.csr_matrix, device: torch.device) -> torch.Tensor:
    tensor: torch.Tensor = torch.sparse_csr_tensor(
        torch.from_numpy(rows.indptr.astype(np.int64)),
        torch.from_numpy(rows.indices.astype(np.int64)),
        torch.from_numpy(rows.data.astype(np.float32)),
        rows.shape,
        device=device,
    )
    return tensor


@dataclass(frozen=True)
class Adapted:
    """The shipped sum and, apart from it, the bias [C] that each source had while learning."""

    linear: Linear
    source_bias: Mapping[str, Floats]


def fit_adapted(
    rows: sparse.csr_matrix,
    base: Linear,
    base_scores: Floats,
    labels: Rows,
    sources: Names,
    settings: AdaptSettings,
    device: torch.device,
) -> Adapted:
    """Step 2. `base_scores` [N, C] come from a base that did not see the row (cross-fitted)."""
    classes = base_scores.shape[1]
    columns = np.unique(rows.indices)
    narrow = rows[:, columns].tocsr()
    here, turned = _torch_sparse(narrow, device), _torch_sparse(narrow.T.tocsr(), device)
    scores = torch.from_numpy(base_scores).to(device)
    weights = torch.from_numpy(row_weights(labels, sources, settings)).to(device)[:, None]
    names = sorted(settings.source_share)
    which = torch.tensor([names.index(s) for s in sources], device=device)
    target = torch.full((len(labels), classes), settings.smoothing / classes, device=device)
    target[torch.arange(len(labels)), torch.from_numpy(labels)] += 1.0 - settings.smoothing

    delta = torch.zeros(len(columns), classes, device=device, requires_grad=True)
    identity = settings.base_scale * torch.eye(classes, device=device)
    mixing = identity.clone().requires_grad_(True)
    shift = torch.zeros(len(names), classes, device=device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [delta, mixing, shift], lr=1.0, max_iter=settings.iterations, history_size=6,
        line_search_fn="strong_wolfe", tolerance_grad=1e-8, tolerance_change=1e-10,
    )  # fmt: skip

    def loss() -> torch.Tensor:
        # The gradient is written out: autograd through sparse CSR is slower and not on all devices.
        with torch.no_grad():
            logits = here @ delta + scores @ mixing + shift[which]
            log_p = torch.log_softmax(logits, dim=1)
            away = mixing - identity
            value = (
                -(weights * target * log_p).sum()
                + 0.5 * settings.row_penalty * (delta**2).sum()
                + 0.5 * settings.base_penalty * (away**2).sum()
                + 0.5 * 1e-3 * (shift**2).sum()
            )
            slope = weights * (log_p.exp() - target)
            delta.grad = turned @ slope + settings.row_penalty * delta
            mixing.grad = scores.T @ slope + settings.base_penalty * away
            shift.grad = torch.zeros_like(shift).index_add_(0, which, slope) + 1e-3 * shift
        return value

    solver.step(loss)
    learned = mixing.detach().cpu().numpy()
    weight = base.weight @ learned
    weight[columns] += delta.detach().cpu().numpy()
    biases = shift.detach().cpu().numpy()
    bias = base.bias @ learned
    return Adapted(
        Linear(weight.astype(np.float32), bias.astype(np.float32)),
        {name: biases[i] for i, name in enumerate(names)},
    )


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
        seen = half != part
        base = fit_base(rows[seen], labels[seen], weights[seen], classes, cost, seed)
        scores[~seen] = base.scores(rows[~seen])
    return scores
