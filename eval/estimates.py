"""Numbers with their uncertainty: shares by Wilson's interval, everything else by bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.metrics import Statistic, bootstrap_interval, wilson_interval

Rows = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]

SAMPLES = 1000
"""Resamples of a bootstrap interval."""


class Estimate(NamedTuple):
    """A value with its 95 % interval; nan where nothing could be measured."""

    value: float
    low: float
    high: float


def share(hits: npt.NDArray[np.bool_] | Sequence[bool]) -> Estimate:
    """The share of true entries, with Wilson's interval; nan for no entries."""
    flags = np.asarray(hits, dtype=bool)
    if len(flags) == 0:
        return Estimate(np.nan, np.nan, np.nan)
    return Estimate(float(flags.mean()), *wilson_interval(int(flags.sum()), len(flags)))


def mean(values: Sequence[float]) -> Estimate:
    """The mean with its bootstrap interval; nan for no values."""
    if not values:
        return Estimate(np.nan, np.nan, np.nan)
    array = np.array(values)

    def of(rows: Rows) -> float:
        return float(array[rows].mean())

    return bootstrapped(of, len(array))


def bootstrapped(
    statistic: Statistic,
    n: int,
    *,
    groups: npt.NDArray[np.integer] | None = None,
    samples: int = SAMPLES,
) -> Estimate:
    """statistic(all rows) with a percentile interval; whole `groups` [n] are resampled."""
    value = statistic(np.arange(n, dtype=np.int64))
    if samples == 0:
        return Estimate(value, np.nan, np.nan)
    return Estimate(value, *bootstrap_interval(statistic, n, groups=groups, samples=samples))


def precision_recall_f1(counts: Counts, *, samples: int = SAMPLES) -> dict[str, Estimate]:
    """Micro precision, recall and F1 of counts [units, 3] (hit, predicted, true), by unit."""

    def ratio(numerator: float, denominator: float) -> float:
        return numerator / denominator if denominator > 0 else np.nan

    def precision(rows: Rows) -> float:
        hit, predicted, _ = counts[rows].sum(axis=0)
        return ratio(float(hit), float(predicted))

    def recall(rows: Rows) -> float:
        hit, _, true = counts[rows].sum(axis=0)
        return ratio(float(hit), float(true))

    def f1(rows: Rows) -> float:
        hit, predicted, true = counts[rows].sum(axis=0)
        return ratio(2.0 * float(hit), float(predicted + true))

    return {
        name: bootstrapped(statistic, len(counts), samples=samples)
        for name, statistic in (("precision", precision), ("recall", recall), ("f1", f1))
    }
