"""Time, randomness and identity, injected so that a decision can be replayed from its record.

Nothing else in serving/ calls `datetime.now`, `secrets` or `uuid`: it is given a `Clock` and
an `Ids`. Relies on the standard library only.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32 in the order of ASCII, so that text order is number order."""

_PAIRS = [high + low for high in CROCKFORD for low in CROCKFORD]
_SHIFTS = range(120, -1, -10)
ID_LENGTH = 26
"""Characters of an identifier after its prefix: 128 bits in base 32."""


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that moves only when told to. For tests and for replay."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware datetime")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The moment it was last set or advanced to."""
        return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Move forward by a timedelta or by seconds, never back; returns the new moment."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            raise ValueError("time does not run backwards")
        self._now += step
        return self._now


class Entropy:
    """Random bytes of the system, fetched many at a time: asking for ten costs as much as for
    thousands. For one thread, and for what is no secret for longer than a request.
    """

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._bytes, self._at = b"", 0

    def __call__(self, count: int) -> bytes:
        """`count` bytes that were never given before."""
        if self._at + count > len(self._bytes):
            self._bytes, self._at = secrets.token_bytes(max(self._size, count)), 0
        self._at += count
        return self._bytes[self._at - count : self._at]


class Ids:
    """Makes identifiers and secrets from a clock and a source of random bytes.

    An identifier is a prefix and a ULID (https://github.com/ulid/spec): 48 bits of
    milliseconds, then 80 random bits, so that it sorts by time and cannot be guessed. Two
    made within one millisecond sort in no particular order: counting up would make the second
    guessable from the first. Safe to share between threads.
    """

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._clock = clock
        self._random = random

    def new(self, prefix: str) -> str:
        """An identifier such as `dec_01JD6Z…`: the prefix, `_` and 26 characters."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        number = (milliseconds << 80) | int.from_bytes(self._random(10), "big")
        digits = "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
        return f"{prefix}_{digits}"

    def secret(self) -> str:
        """43 URL-safe characters that carry 256 random bits."""
        return base64.urlsafe_b64encode(self._random(32)).rstrip(b"=").decode("ascii")
