"""Whose turn it is: batches give one row each in turn, so that a short one never waits for a long.

Pure: knows nothing of rows, files or time.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")


class Rotation(Generic[KeyT]):
    """A round of keys, each once."""

    def __init__(self) -> None:
        self._round: deque[KeyT] = deque()

    def __len__(self) -> int:
        return len(self._round)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._round

    def add(self, key: KeyT) -> None:
        """Let a key take turns, after those that do; again changes nothing."""
        if key not in self._round:
            self._round.append(key)

    def drop(self, key: KeyT) -> None:
        """Give a key no further turn; one that has none is no error."""
        if key in self._round:
            self._round.remove(key)

    def next(self) -> KeyT | None:
        """The key whose turn it is, which goes to the end of the round; None when there is none."""
        if not self._round:
            return None
        self._round.rotate(-1)
        return self._round[-1]
