"""What was asked and answered, as columns, and the figures that are read from them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.serving.connections import NO_ANSWER

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999}
_PLACES = 3

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


class Recorder:
    """Columns of one run, filled as requests end. Times in seconds by one clock."""

    def __init__(self) -> None:
        self._due, self._ended = array("d"), array("d")
        self._status, self._kind = array("q"), array("q")

    def add(self, due: float, ended: float, status: int, kind: int) -> None:
        """due: when the request was to be sent. kind: index of its class."""
        self._due.append(due)
        self._ended.append(ended)
        self._status.append(status)
        self._kind.append(kind)

    def columns(self) -> tuple[Floats, Floats, Numbers, Numbers]:
        """due, ended, status, kind."""
        return (
            np.array(self._due),
            np.array(self._ended),
            np.array(self._status, dtype=np.int64),
            np.array(self._kind, dtype=np.int64),
        )


@dataclass(frozen=True)
class Latency:
    """Milliseconds; each quantile is a latency that was measured (nearest rank)."""

    count: int
    quantiles: Mapping[str, float]
    most: float

    @classmethod
    def of(cls, milliseconds: Floats) -> Latency | None:
        """None for none."""
        if not milliseconds.size:
            return None
        found = np.quantile(milliseconds, list(QUANTILES.values()), method="inverted_cdf")
        rounded = (round(float(value), _PLACES) for value in found)
        return cls(
            milliseconds.size,
            dict(zip(QUANTILES, rounded, strict=True)),
            round(float(milliseconds.max()), _PLACES),
        )

    def as_json(self) -> dict[str, float]:
        return {"count": self.count, **self.quantiles, "max": self.most}


@dataclass(frozen=True)
class Run:
    """The counted part of a run: requests as columns, in the order in which they ended.

    seconds: how long was counted. waited: whether `due` is the schedule of an open loop, so that
    a latency holds the wait for a sender that the server held up. deadline_ms: what a good
    answer keeps to. classes: the names of `kind`.
    """

    due: Floats
    ended: Floats
    status: Numbers
    kind: Numbers
    seconds: float
    waited: bool
    classes: Sequence[str]
    deadline_ms: float | None = None
    client_cpu: float = field(default=0.0)
    """Share of one core that the client itself used."""

    @property
    def milliseconds(self) -> Floats:
        """Latency of each request, from when it was due."""
        return (self.ended - self.due) * 1e3

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which were answered with a 2xx."""
        return (self.status >= 200) & (self.status < 300)

    @property
    def throughput(self) -> float:
        """2xx a second."""
        return float(self.good.sum()) / self.seconds

    @property
    def goodput(self) -> float:
        """2xx a second within the deadline."""
        if self.deadline_ms is None:
            return self.throughput
        return float((self.good & (self.milliseconds <= self.deadline_ms)).sum()) / self.seconds

    def latency(self, *, status: int | None = None, kind: str | None = None) -> Latency | None:
        """Of the answers with this status (2xx by default), of one class or of all."""
        chosen = self.good if status is None else self.status == status
        if kind is not None:
            chosen = chosen & (self.kind == self.classes.index(kind))
        return Latency.of(self.milliseconds[chosen])

    def statuses(self) -> dict[int, int]:
        """How many requests by status."""
        found, counts = np.unique(self.status, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))

    def per_second(self) -> list[dict[str, Any]]:
        """For each second, by when requests were due: how many, how many 2xx, their p99 (ms)."""
        if not self.due.size:
            return []
        second = np.floor(self.due - self.due.min()).astype(np.int64)
        rows = []
        for number in range(int(second.max()) + 1):
            here = second == number
            good = Latency.of(self.milliseconds[here & self.good])
            rows.append(
                {
                    "second": number,
                    "requests": int(here.sum()),
                    "good": good.count if good else 0,
                    "p99_ms": good.quantiles["p99"] if good else None,
                }
            )
        return rows

    def as_json(self, *, series: bool = False) -> dict[str, Any]:
        """Everything, milliseconds and rates rounded. `series` adds a row per second."""
        statuses = self.statuses()
        latency = self.latency()
        return {
            "seconds": round(self.seconds, _PLACES),
            "requests": int(self.due.size),
            "latency_from": "schedule" if self.waited else "sending",
            "statuses": {_named(status): count for status, count in statuses.items()},
            "throughput": round(self.throughput, _PLACES),
            "goodput": round(self.goodput, _PLACES),
            "deadline_ms": self.deadline_ms,
            "latency_ms": latency.as_json() if latency else None,
            "latency_ms_by_status": {
                _named(status): found.as_json()
                for status in statuses
                if (found := self.latency(status=status))
            },
            "latency_ms_by_class": {
                kind: found.as_json() for kind in self.classes if (found := self.latency(kind=kind))
            },
            "client_cpu": round(self.client_cpu, _PLACES),
        } | ({"per_second": self.per_second()} if series else {})


def _named(status: int) -> str:
    return "no answer" if status == NO_ANSWER else str(status)
