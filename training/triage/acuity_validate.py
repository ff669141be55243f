"""Honest figures of the acuity models: repeated, nested cross-validation.

Everything that is fitted or chosen (learners, temperature, cost of answering too low, conformal
quantile) sees the training part of an outer fold alone. The word lists and the floors were written
with rows of the same sets in view: no cross-validation takes that back, and the card says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from knowledge_base.rules.acuity_scales import acuity_scales
from models.calibration import Doubles, softmax
from models.manifest import Metric
from models.metrics import (
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    quadratic_kappa,
)
from models.triage.acuity import CAUTION, holding, least_cost, on_scale
from models.triage.acuity_request import Scale
from training.triage.acuity_config import AcuityConfig, ModelConfig
from training.triage.acuity_data import AcuityData, Levels
from training.triage.acuity_learn import LEVELS, SMALLEST, Rows, fit

_TEMPERATURES = np.arange(0.4, 2.01, 0.05)


@dataclass(frozen=True)
class Tuned:
    """What is chosen after the learners: temperature, under cost, LAC quantile."""

    temperature: float
    under_cost: float
    quantile: float

    def calibrated(self, probabilities: Doubles) -> Doubles:
        """Probabilities [N, 5] at the temperature."""
        return softmax(logits(probabilities), self.temperature)


def logits(probabilities: Doubles) -> Doubles:
    """What the shipped network returns: logarithms of the averaged probabilities."""
    found: Doubles = np.log(probabilities + SMALLEST)
    return found


@dataclass(frozen=True)
class HeldOut:
    """One repeat: calibrated probabilities [N, 5], levels from 1 [N] and sets [N, 5]."""

    probabilities: Doubles
    model: Levels
    answer: Levels
    sets: NDArray[np.bool_]


def _folds(data: AcuityData, rows: Rows, count: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for train, test in splitter.split(rows, data.levels[rows], data.groups[rows]):
        yield rows[train], rows[test]


def out_of_fold(data: AcuityData, rows: Rows, model: ModelConfig, folds: int, seed: int) -> Doubles:
    """Probabilities [N, 5] of `rows`, each from learners that did not see it."""
    found = np.zeros((len(data), LEVELS))
    for train, test in _folds(data, rows, folds, seed):
        found[test] = fit(data, train, model, seed).probabilities(data.features[test])
    chosen: Doubles = found[rows]
    return chosen


def tune(probabilities: Doubles, levels: Levels, config: AcuityConfig, model: ModelConfig) -> Tuned:
    """Temperature by likelihood, then the under cost, then the quantile."""
    scores, mine = logits(probabilities), np.arange(len(levels))

    def loss(temperature: float) -> float:
        return -float(np.log(softmax(scores, temperature)[mine, levels] + SMALLEST).mean())

    temperature = float(min(_TEMPERATURES, key=loss))
    sharp = softmax(scores, temperature)
    conformity = np.sort(1.0 - sharp[mine, levels])
    place = min(int(np.ceil((len(levels) + 1) * config.coverage)), len(levels)) - 1
    return Tuned(
        round(temperature, 2),
        _under_cost(sharp, levels + 1, config.under_costs, model.most_under),
        float(conformity[place]),
    )


def _under_cost(
    probabilities: Doubles, truth: Levels, costs: tuple[float, ...], most: float
) -> float:
    """The best accuracy within the under-triage that is allowed; the dearest cost if none is."""
    answers = {cost: least_cost(probabilities, cost) for cost in costs}
    allowed = [cost for cost, level in answers.items() if float(np.mean(level > truth)) <= most]
    return max(allowed, key=lambda c: accuracy(truth, answers[c])) if allowed else max(costs)


def with_floors(data: AcuityData, scale: Scale, model: Levels) -> Levels:
    """The answers [N] that patients get: the model's, raised by floors and by caution."""
    known = acuity_scales()[scale]
    answers = []
    for case, level in zip(data.cases, model, strict=True):
        lowest = [f.text.level[scale] for f in holding(case, scale)[:1]]
        lowest += [] if case.understood else [CAUTION]
        answers.append(min([on_scale(int(level), known), *lowest]))
    return np.asarray(answers, dtype=np.int64)


def repeat(
    data: AcuityData, config: AcuityConfig, model: ModelConfig, scale: Scale, seed: int,
    done: Callable[[], None],
) -> HeldOut:  # fmt: skip
    """One outer cross-validation with everything chosen inside."""
    everything = np.arange(len(data))
    found = np.zeros((len(data), LEVELS))
    answers = np.zeros(len(data), dtype=np.int64)
    sets = np.zeros((len(data), LEVELS), dtype=bool)
    for train, test in _folds(data, everything, model.folds, seed):
        inner = out_of_fold(data, train, model, config.inner_folds, seed)
        tuned = tune(inner, data.levels[train], config, model)
        found[test] = tuned.calibrated(
            fit(data, train, model, seed).probabilities(data.features[test])
        )
        answers[test] = least_cost(found[test], tuned.under_cost)
        sets[test] = 1.0 - found[test] <= tuned.quantile
        done()
    return HeldOut(found, answers, with_floors(data, scale, answers), sets)


def measured(data: AcuityData, repeats: list[HeldOut]) -> dict[str, dict[str, Metric]]:
    """Means over repeats with bootstrap intervals over rows: the model alone and with floors."""
    truth = data.levels + 1
    return {
        "cross-validation, model alone": _answers(truth, [r.model for r in repeats]),
        "cross-validation, with floors": _answers(truth, [r.answer for r in repeats]),
        "cross-validation, probabilities": _calibration(data.levels, repeats),
    }


def _answers(truth: Levels, answers: list[Levels]) -> dict[str, Metric]:
    def mean(of: Callable[[Levels, Levels], float]) -> Metric:
        def statistic(rows: NDArray[np.int64]) -> float:
            return float(np.mean([of(truth[rows], a[rows]) for a in answers]))

        interval = bootstrap_interval(statistic, len(truth), samples=300)
        value = statistic(np.arange(len(truth)))
        return Metric(value=value, low=interval.low, high=interval.high)

    return {
        "n": Metric(value=len(truth)),
        "repeats": Metric(value=len(answers)),
        "accuracy": mean(accuracy),
        "quadratic_kappa": mean(quadratic_kappa),
        "under_triage": mean(lambda t, a: float(np.mean(a > t))),
        "over_triage": mean(lambda t, a: float(np.mean(a < t))),
        "severe_under_triage": mean(lambda t, a: float(np.mean(a - t >= 2))),
        "level_1_answered_3_or_lower": Metric(
            value=float(np.mean([np.sum((truth == 1) & (a >= 3)) for a in answers]))
        ),
    }


def _calibration(levels: Levels, repeats: list[HeldOut]) -> dict[str, Metric]:
    mine = np.arange(len(levels))
    errors = [
        expected_calibration_error(
            r.probabilities.argmax(axis=1) == levels, r.probabilities.max(axis=1)
        )
        for r in repeats
    ]
    return {
        "ece": Metric(value=float(np.mean(errors))),
        "set_coverage": Metric(value=float(np.mean([r.sets[mine, levels] for r in repeats]))),
        "set_size": Metric(value=float(np.mean([r.sets.sum(axis=1) for r in repeats]))),
    }
