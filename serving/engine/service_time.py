"""How long a batch takes: a line through what was seen, the recent weighing most.

Least squares of seconds over size with exponential forgetting. One model on one machine is very
nearly a line, setting up a call plus so much per element, and a line tells a batch of one from a
full one, which a mean cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

_FORGET = 0.95
"""Weight of the past at each batch: some twenty batches count."""
_LEVEL = 1e-6
"""Relative spread of sizes below which there is no slope to be seen."""


@dataclass
class ServiceTime:
    """Seconds of a batch by its size (elements, padding included). No clock of its own."""

    _n: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _xx: float = 0.0
    _xy: float = 0.0

    def observe(self, size: int, seconds: float) -> None:
        """A batch of `size` took `seconds`."""
        self._n = self._n * _FORGET + 1.0
        self._x = self._x * _FORGET + size
        self._y = self._y * _FORGET + seconds
        self._xx = self._xx * _FORGET + size * size
        self._xy = self._xy * _FORGET + size * seconds

    def predict(self, size: float) -> float:
        """Expected seconds of a batch of `size`; 0 before anything was seen."""
        if self._n == 0.0:
            return 0.0
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = self._xx / self._n - mean_x * mean_x
        if spread <= _LEVEL * mean_x * mean_x:
            # All of one size: smaller ones take no longer, larger ones at most in proportion.
            return mean_y * max(1.0, size / mean_x) if mean_x else mean_y
        slope = max(0.0, (self._xy / self._n - mean_x * mean_y) / spread)
        # A line that starts below nothing is one through the origin.
        start = mean_y - slope * mean_x
        return start + slope * size if start >= 0.0 else mean_y * size / mean_x
