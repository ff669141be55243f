"""What a benchmark answers: metrics with intervals, and the details that only its report shows.

Nothing here holds a patient's words: rows are named by their id or line number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from eval.estimates import Estimate


class BenchmarkError(Exception):
    """The benchmark cannot run; the message is one sentence for the person who asked."""


@dataclass(frozen=True)
class Confusion:
    """Counts: `counts[i][j]` rows of truth `truths[i]` were answered `answers[j]`."""

    truths: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassScore:
    """One class: rows that have it, and precision, recall and F1 of the answers."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Miss:
    """One wrong answer, by the row's id; `why` says what is known of the reason."""

    row: str
    truth: str
    answer: str
    why: str = ""


@dataclass(frozen=True)
class Details:
    """For the report alone.

    data: sentences about the file. method: how the numbers came about, sentence by sentence.
    warnings: what the reader must know before believing them.
    """

    data: tuple[str, ...]
    method: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    confusion: Confusion | None = None
    classes: tuple[ClassScore, ...] = ()
    misses: tuple[Miss, ...] = ()
    misses_title: str = "Worst errors"


@dataclass(frozen=True)
class Scored:
    """What a bench module returns; `run` adds name, file and time.

    models: versions of everything that answered, by name. stress: metrics by transform.
    """

    n: int
    estimates: Mapping[str, Estimate]
    models: Mapping[str, int | str]
    details: Details
    stress: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchmarkResult:
    """A finished benchmark."""

    benchmark: str
    file: str
    scored: Scored
    seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """Metric values by name; nan where the file has no row that the metric speaks of."""
        return {name: e.value for name, e in self.scored.estimates.items()}

    def as_json(self) -> dict[str, object]:
        """Plain values for JSON; a metric and an interval that are nan are null."""
        scored = self.scored
        found: dict[str, object] = {
            "benchmark": self.benchmark,
            "file": self.file,
            "n": scored.n,
            "metrics": _values(scored.estimates),
            "intervals": _bounds(scored.estimates),
            "models": dict(scored.models),
            "seconds": round(self.seconds, 3),
        }
        if scored.stress:
            found["stress"] = {name: _values(e) for name, e in scored.stress.items()}
        if scored.details.warnings:
            found["warnings"] = list(scored.details.warnings)
        return found

    def table(self) -> RenderableType:
        """The metrics for a terminal, with a second table for the stress transforms."""
        scored = self.scored
        table = Table(
            "metric",
            "value",
            "95 % interval",
            title=f"{self.benchmark}: {Path(self.file).name}, n = {scored.n}",
        )
        for name, estimate in scored.estimates.items():
            table.add_row(name, shown(estimate.value), bounds(estimate))
        parts: list[RenderableType] = [table, *scored.details.warnings]
        if scored.stress:
            stressed = Table("under stress", *scored.estimates)
            for transform, estimates in scored.stress.items():
                stressed.add_row(transform, *(shown(estimates[n].value) for n in scored.estimates))
            parts.append(stressed)
        return Group(*parts)


def shown(value: float) -> str:
    """A number for people."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def bounds(estimate: Estimate) -> str:
    """An interval for people."""
    if math.isnan(estimate.low):
        return "-"
    return f"{estimate.low:.4f} to {estimate.high:.4f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _values(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {name: _number(e.value) for name, e in estimates.items()}


def _bounds(estimates: Mapping[str, Estimate]) -> dict[str, list[float | None] | None]:
    return {
        name: None if math.isnan(e.low) else [_number(e.low), _number(e.high)]
        for name, e in estimates.items()
    }
