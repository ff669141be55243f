"""From the scores of support vector machines to probabilities: knee, shift and temperature.

A score far beyond the margin is no more reason for confidence than one a little beyond it,
because the labels are noisy: measured on held-out consults, a temperature alone leaves the
middle too modest and the top too sure. So scores above `knee` grow on with `slope` only.
The shift per department, fitted on held-out consults, is the prior that the model ships with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.calibration import Doubles, softmax
from training.text.sparse import Floats, Rows


@dataclass(frozen=True)
class HeldOut:
    """Held-out scores [N, C], the right label of each row [N], and codes to labels [C, K].

    `weight`: the set's part in the loss.
    """

    scores: Floats
    truth: Rows
    matrix: Doubles
    weight: float

    def part(self, rows: Rows) -> HeldOut:
        """The same set with some rows only."""
        return HeldOut(self.scores[rows], self.truth[rows], self.matrix, self.weight)


@dataclass(frozen=True)
class Calibrator:
    """Probabilities = softmax((bend(scores) + shift) / temperature)."""

    knee: float
    slope: float
    shift: Floats
    temperature: float

    def logits(self, scores: Floats) -> Floats:
        """bend(scores) + shift [N, C]: what the exported network returns."""
        bent = np.minimum(scores, self.knee) + self.slope * np.maximum(scores - self.knee, 0)
        result: Floats = (bent + self.shift).astype(np.float32)
        return result


def fit_calibrator(
    sets: Sequence[HeldOut], knee: float, slope: float, penalty: float
) -> Calibrator:
    """Minimise the sets' weighted negative log-likelihood of labels, plus penalty * |shift|^2.

    A department that no held-out row speaks for keeps a shift near 0.
    """
    classes = sets[0].scores.shape[1]
    blank = Calibrator(knee, slope, np.zeros(classes, dtype=np.float32), 1.0)
    ready = [
        (
            torch.from_numpy(blank.logits(s.scores)),
            torch.from_numpy(s.truth)[:, None],
            torch.from_numpy(s.matrix).float(),
            s.weight,
        )
        for s in sets
    ]
    sharpness = torch.tensor(5.0, requires_grad=True)
    shift = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS([sharpness, shift], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        total = penalty * (shift**2).sum()
        for logits, truth, matrix, weight in ready:
            sums = torch.softmax(sharpness * logits + shift, dim=1) @ matrix
            right = sums.gather(1, truth)[:, 0] / (sums.sum(dim=1) + 1e-12)
            total = total - weight * torch.log(right + 1e-9).mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    temperature = 1.0 / float(sharpness.detach())
    learned = shift.detach().numpy() * temperature
    return Calibrator(knee, slope, learned.astype(np.float32), temperature)


def fit_temperature(held: HeldOut) -> float:
    """The temperature with the least negative log-likelihood of labels (Guo et al. 2017)."""
    right = np.arange(len(held.truth)), held.truth

    def loss(temperature: float) -> float:
        return -float(
            np.log((softmax(held.scores, temperature) @ held.matrix)[right] + 1e-9).mean()
        )

    grid = np.geomspace(0.3, 3.0, 80)
    return float(grid[int(np.argmin([loss(t) for t in grid]))])


def cross_calibrated(
    sets: Sequence[HeldOut], folds: Rows, knee: float, slope: float, penalty: float
) -> tuple[Floats, Doubles]:
    """The first set's logits [N, C] over their temperature [N, 1], each row by a calibrator
    that did not see its fold; the other sets help to fit all of them."""
    first, others = sets[0], sets[1:]
    logits = np.zeros_like(first.scores)
    temperatures = np.ones((len(folds), 1))
    for fold in np.unique(folds):
        out = np.flatnonzero(folds == fold)
        seen = first.part(np.flatnonzero(folds != fold))
        fitted = fit_calibrator([seen, *others], knee, slope, penalty)
        logits[out] = fitted.logits(first.scores[out])
        temperatures[out] = fitted.temperature
    return logits, temperatures
