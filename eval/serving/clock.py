"""A steady beat for the open loop.

Event loops round their timers to milliseconds, which at hundreds of requests a second would be
counted as the server's latency. The kernel's timer does not round, and counts what was missed.
"""

from __future__ import annotations

import ctypes
import os
import time

_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = os.O_NONBLOCK, os.O_CLOEXEC, 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))

    @classmethod
    def of(cls, seconds: float) -> _Timespec:
        return cls(*divmod(round(seconds * 1e9), 1_000_000_000))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


class Beat:
    """A file descriptor (timerfd, Linux) that becomes readable `per_second` times a second.

    first: the time of the first beat, by `time.monotonic`.
    """

    def __init__(self, first: float, per_second: float) -> None:
        self.fd = int(_libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC))
        spec = _Itimerspec(_Timespec.of(1 / per_second), _Timespec.of(first))
        if self.fd < 0 or _libc.timerfd_settime(
            self.fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None
        ):
            raise OSError(ctypes.get_errno(), "no timer")

    def beats(self) -> int:
        """How many beats there were since the last call."""
        try:
            return int.from_bytes(os.read(self.fd, 8), "little")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.fd)
