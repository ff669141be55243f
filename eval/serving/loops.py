"""Closed and open loop.

Closed: so many callers, each asks again when it was answered. A slow server is asked less, so a
closed loop tells throughput well and tails badly. Open: requests come when they come, as those of
real people do; a latency counts from when the request was due, whoever held it up, so that a
stall is seen by all who came during it (Tene, "How NOT to Measure Latency": coordinated omission).

Both are callbacks, not coroutines: the client shares its cores with the server.
"""

from __future__ import annotations

import asyncio
import resource
import time
from abc import ABC, abstractmethod
from collections import deque
from itertools import cycle

from eval.serving.clock import Beat
from eval.serving.connections import NO_ANSWER, Connection, connect
from eval.serving.recording import Recorder, Run
from eval.serving.requests import Request, Traffic

DRAIN_S = 30.0
"""How long after the end an answer is waited for; then the request counts as not answered."""
_RETRY_S = 0.05
"""How long a caller waits before it connects again after a refusal."""
_MOST_CONNECTIONS = 8192

_now = time.monotonic


async def closed(
    traffic: Traffic,
    *,
    callers: int,
    seconds: float,
    warm_s: float = 0.0,
    deadline_ms: float | None = None,
    drain_s: float = DRAIN_S,
) -> Run:
    """So many callers for so long; what was sent during the warm-up is not counted."""
    loop = _Closed(traffic, callers, warm_s, seconds)
    return await loop.run(deadline_ms, drain_s)


async def opened(
    traffic: Traffic,
    *,
    rate: float,
    seconds: float,
    warm_s: float = 0.0,
    deadline_ms: float | None = None,
    drain_s: float = DRAIN_S,
    connections: int = _MOST_CONNECTIONS,
) -> Run:
    """`rate` requests a second at even intervals, whatever the answers.

    connections: so many at most; beyond them a request waits here, and its wait counts.
    """
    loop = _Open(traffic, rate, connections, warm_s, seconds)
    return await loop.run(deadline_ms, drain_s)


class _Loop(ABC):
    """What both share: the window that is counted, and waiting for the last answers."""

    waited: bool

    def __init__(self, traffic: Traffic, warm_s: float, seconds: float) -> None:
        self.traffic = traffic
        self.asked = cycle(traffic.cycle)
        self.recorder = Recorder()
        self.began = _now()
        self.begin = self.began + warm_s
        self.end = self.begin + seconds
        self._drained = asyncio.Event()

    async def run(self, deadline_ms: float | None, drain_s: float) -> Run:
        began, cpu = _now(), _cpu_s()
        try:
            self.start()
            await asyncio.sleep(self.end - _now())
            share = (_cpu_s() - cpu) / (_now() - began)
            self.check_drained()
            try:
                await asyncio.wait_for(self._drained.wait(), drain_s)
            except TimeoutError:
                self.give_up()
        finally:
            self.stop()
        due, ended, status, kind = self.recorder.columns()
        counted = (due >= self.begin) & (due < self.end)
        return Run(
            due=due[counted],
            ended=ended[counted],
            status=status[counted],
            kind=kind[counted],
            seconds=self.end - self.begin,
            waited=self.waited,
            classes=self.traffic.classes,
            deadline_ms=deadline_ms,
            client_cpu=share,
        )

    def check_drained(self) -> None:
        if _now() >= self.end and self.is_drained():
            self._drained.set()

    @abstractmethod
    def start(self) -> None:
        """Begin to ask."""

    @abstractmethod
    def is_drained(self) -> bool:
        """Whether no answer is owed."""

    @abstractmethod
    def give_up(self) -> None:
        """Record what is still owed as not answered."""

    @abstractmethod
    def stop(self) -> None:
        """Close every connection."""


class _Slot:
    """One connection, and the request that is under way on it."""

    def __init__(self, loop: _Closed | _Open) -> None:
        self._loop = loop
        self.connection = Connection()
        self.request: Request | None = None
        self.due = 0.0
        self.task: asyncio.Task[None] | None = None

    def send(self, request: Request, due: float) -> None:
        self.request, self.due = request, due
        if self.connection.usable:
            self.connection.send(request.wire, self.answered)
        else:
            self.task = asyncio.create_task(self._connect_and_send(request))

    def answered(self, status: int) -> None:
        request, self.request = self.request, None
        if request is not None:
            self._loop.recorder.add(self.due, _now(), status, request.kind)
            self._loop.is_free(self, status)

    def close(self) -> None:
        self.request = None
        if self.task is not None:
            self.task.cancel()
        self.connection.close()

    async def _connect_and_send(self, request: Request) -> None:
        try:
            self.connection = await connect(self._loop.traffic.address)
        except OSError:
            self.answered(NO_ANSWER)
        else:
            self.connection.send(request.wire, self.answered)


class _Closed(_Loop):
    waited = False

    def __init__(self, traffic: Traffic, callers: int, warm_s: float, seconds: float) -> None:
        super().__init__(traffic, warm_s, seconds)
        self._slots = [_Slot(self) for _ in range(callers)]

    def start(self) -> None:
        for slot in self._slots:
            slot.send(next(self.asked), _now())

    def is_free(self, slot: _Slot, status: int) -> None:
        now = _now()
        if now >= self.end:
            self.check_drained()
        elif status == NO_ANSWER:
            asyncio.get_running_loop().call_later(_RETRY_S, self._again, slot)
        else:
            slot.send(next(self.asked), now)

    def _again(self, slot: _Slot) -> None:
        if _now() < self.end:
            slot.send(next(self.asked), _now())
        else:
            self.check_drained()

    def is_drained(self) -> bool:
        return not any(slot.request for slot in self._slots)

    def give_up(self) -> None:
        _give_up(self.recorder, self._slots)

    def stop(self) -> None:
        for slot in self._slots:
            slot.close()


class _Open(_Loop):
    waited = True

    def __init__(
        self, traffic: Traffic, rate: float, connections: int, warm_s: float, seconds: float
    ) -> None:
        super().__init__(traffic, warm_s, seconds)
        self._interval = 1 / rate
        self._most = connections
        self._sent = 0
        self._slots: set[_Slot] = set()
        self._free: list[_Slot] = []
        self._waiting: deque[tuple[Request, float]] = deque()
        self._beat = Beat(self.began, rate)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._beat.fd, self._send_due)

    def _send_due(self) -> None:
        for _ in range(self._beat.beats()):
            due = self.began + self._sent * self._interval
            if due >= self.end:
                return
            self._sent += 1
            self._send(next(self.asked), due)

    def _send(self, request: Request, due: float) -> None:
        if self._free:
            self._free.pop().send(request, due)
        elif len(self._slots) < self._most:
            slot = _Slot(self)
            self._slots.add(slot)
            slot.send(request, due)
        else:
            self._waiting.append((request, due))

    def is_free(self, slot: _Slot, status: int) -> None:
        if self._waiting:
            slot.send(*self._waiting.popleft())
        else:
            self._free.append(slot)
            self.check_drained()

    def is_drained(self) -> bool:
        return len(self._free) == len(self._slots) and not self._waiting

    def give_up(self) -> None:
        _give_up(self.recorder, self._slots)
        for request, due in self._waiting:
            self.recorder.add(due, _now(), NO_ANSWER, request.kind)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._beat.fd)
        self._beat.close()
        for slot in self._slots:
            slot.close()


def _give_up(recorder: Recorder, slots: list[_Slot] | set[_Slot]) -> None:
    for slot in slots:
        if slot.request is not None:
            recorder.add(slot.due, _now(), NO_ANSWER, slot.request.kind)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
