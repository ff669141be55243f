"""Weights learned from which of the proposed doctors was accepted.

A conditional logit (McFadden): of the doctors shown, the accepted one has probability
softmax(theta . x - b[place]), x being the numbers from 0 to 1 that the score is made of. Weights
are theta / sum(theta), so they stay at least 0 and sum to 1; sum(theta) is only how sharply
people choose. `b` takes up position bias: who stands first is taken more often whatever his
merits, and without it the learner would confirm the order that it was shown.

Learned weights are drawn to the prior ones, and are kept only when they predict choices that
they were not learned from better than the prior weights do. A feature without a prior weight
stays without one: people decide what counts, this learns how much. Conditions that a doctor must
meet are no part of it. What was never shown was never chosen: a doctor whom the prior weights
always rank fifth teaches nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowledge_base.matching.weights import FeatureName, check_weights

MINIMUM_CHOICES = 100
"""Fewer choices change nothing: some fifteen to twenty for each of up to six weights."""

PRIOR_CHOICES = 50.0
"""How many choices the prior weights stand for."""

FOLDS = 5
_RIDGE = 0.01
"""Keeps the sharpness finite where the choices are perfectly predictable."""
_CHOICE_INFORMATION = 1 / 24
"""What one choice of two tells of a weight per unit of sharpness squared, roughly: half the
variance of a number spread evenly over 0 to 1."""
_STEPS = 100
_DONE = 1e-10

_Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """A doctor as proposed: his place in the list from 0, and his numbers by feature."""

    place: int
    numbers: Mapping[FeatureName, float]


@dataclass(frozen=True)
class Choice:
    """The doctors of one specialty who could have been accepted, and which one was."""

    shown: tuple[Shown, ...]
    accepted: int


@dataclass(frozen=True)
class Learned:
    """Weights and how they came about.

    Losses are mean negative log-likelihoods of choices that were held out (5 folds); with too
    few choices they are None. `kept` says that `weights` are the learned ones, not the prior.
    """

    weights: Mapping[FeatureName, float]
    choices: int
    kept: bool
    loss_prior: float | None
    loss_learned: float | None
    place_bias: tuple[float, ...]


def learn(choices: Sequence[Choice], prior: Mapping[FeatureName, float]) -> Learned:
    """Weights for one specialty. The same choices in the same order give the same weights."""
    names = [name for name, weight in prior.items() if weight > 0]
    useful = [choice for choice in choices if len(choice.shown) > 1]
    if len(useful) < MINIMUM_CHOICES or len(names) < 2:
        return Learned(dict(prior), len(useful), False, None, None, ())
    data = _Data.of(useful, names)
    start = np.array([prior[name] for name in names])
    loss_prior, loss_learned = _held_out(data, start)
    theta, bias = _fit(data, start)
    kept = bool(loss_learned < loss_prior and theta.sum() > 0)
    weights = {**prior, **_shares(names, theta)} if kept else dict(prior)
    check_weights(weights)
    places = tuple(bias.round(3).tolist())
    return Learned(weights, len(useful), kept, loss_prior, loss_learned, places)


@dataclass(frozen=True)
class _Data:
    """Choices as arrays: numbers [n, k, f], places one-hot without the first [n, k, p], which
    places hold somebody [n, k], which was accepted [n]."""

    numbers: _Array
    places: _Array
    present: NDArray[np.bool_]
    accepted: NDArray[np.int64]

    @classmethod
    def of(cls, choices: Sequence[Choice], names: Sequence[FeatureName]) -> _Data:
        n, k = len(choices), max(len(choice.shown) for choice in choices)
        last = max(shown.place for choice in choices for shown in choice.shown)
        numbers, places = np.zeros((n, k, len(names))), np.zeros((n, k, last))
        present = np.zeros((n, k), dtype=bool)
        for i, choice in enumerate(choices):
            for j, shown in enumerate(choice.shown):
                present[i, j] = True
                numbers[i, j] = [shown.numbers[name] for name in names]
                if shown.place > 0:
                    places[i, j, shown.place - 1] = 1
        return cls(numbers, places, present, np.array([c.accepted for c in choices]))

    def part(self, rows: NDArray[np.bool_]) -> _Data:
        """Some of the choices."""
        return _Data(self.numbers[rows], self.places[rows], self.present[rows], self.accepted[rows])

    def along(self, direction: _Array) -> _Data:
        """The same choices with one number each: the score by fixed weights."""
        return _Data(
            (self.numbers @ direction)[..., None], self.places, self.present, self.accepted
        )

    @property
    def design(self) -> _Array:
        """What the coefficients multiply: numbers, then minus the places."""
        return np.concatenate([self.numbers, -self.places], axis=2)


def _held_out(data: _Data, prior: _Array) -> tuple[float, float]:
    """Mean loss of the prior direction and of the learned one on choices left out in turn."""
    fold = np.arange(len(data.accepted)) % FOLDS
    losses = np.zeros(2)
    for k in range(FOLDS):
        seen, unseen = data.part(fold != k), data.part(fold == k)
        fixed = np.concatenate(_fit(seen.along(prior), np.ones(1)))
        free = np.concatenate(_fit(seen, prior))
        losses += _loss(unseen.along(prior), fixed), _loss(unseen, free)
    mean = losses / len(data.accepted)
    return float(mean[0]), float(mean[1])


def _loss(data: _Data, coefficients: _Array) -> float:
    """Negative log-likelihood of the accepted."""
    probability = _probabilities(data, coefficients)
    chosen = probability[np.arange(len(data.accepted)), data.accepted]
    return float(-np.log(np.maximum(chosen, 1e-300)).sum())


def _probabilities(data: _Data, coefficients: _Array) -> _Array:
    utility = np.where(data.present, data.design @ coefficients, -np.inf)
    odds = np.exp(utility - utility.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _fit(data: _Data, prior: _Array) -> tuple[_Array, _Array]:
    """theta and the place biases, all at least 0: Newton's method on a convex objective.

    The penalty is the squared distance of theta from its sum times the prior weights: it bears
    on the direction and leaves the sharpness free.
    """
    f = len(prior)
    design = data.design
    size = design.shape[2]
    away = np.zeros((size, size))
    away[:f, :f] = np.eye(f) - np.outer(prior, np.ones(f))
    penalty = 2 * (PRIOR_CHOICES * _CHOICE_INFORMATION * away.T @ away + _RIDGE * np.eye(size))

    def objective(x: _Array) -> float:
        return _loss(data, x) + float(x @ penalty @ x) / 2

    x = np.concatenate([prior, np.zeros(size - f)])
    value = objective(x)
    for _ in range(_STEPS):
        p = _probabilities(data, x)
        mean = np.einsum("nk,nkf->nf", p, design)
        gradient = (mean - design[np.arange(len(p)), data.accepted]).sum(axis=0) + penalty @ x
        second = np.einsum("nk,nkf,nkg->fg", p, design, design) - mean.T @ mean
        step = _bounded_step(x, gradient, second + penalty)
        length = 1.0
        while (after := objective(x + length * step)) > value and length > _DONE:
            length /= 2
        if value - after < _DONE:
            break
        x, value = np.maximum(x + length * step, 0), after
    return x[:f], x[f:]


def _bounded_step(x: _Array, gradient: _Array, second: _Array) -> _Array:
    """The step to the minimum of the quadratic model with x + step >= 0, by coordinates."""
    step = np.zeros_like(x)
    for _ in range(_STEPS):
        before = step.copy()
        for i in range(len(x)):
            slope = gradient[i] + second[i] @ step
            step[i] = max(step[i] - slope / second[i, i], -x[i])
        if np.abs(step - before).max() < _DONE:
            break
    return step


def _shares(names: Sequence[FeatureName], theta: _Array) -> dict[FeatureName, float]:
    """theta as weights of four decimals that sum to 1; the largest takes the rounding."""
    shares = dict(zip(names, (theta / theta.sum()).round(4).tolist(), strict=True))
    largest = max(shares, key=lambda name: shares[name])
    shares[largest] = round(shares[largest] + 1 - sum(shares.values()), 4)
    return shares
