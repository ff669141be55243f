"""The engine as an HTTP process sees it: asks the owner of the models over one connection.

Keeps the promise of `ModelHost`. When the owner dies, what was asked waits for the next one and is
asked again, once: inference changes nothing, so asking twice is safe, and a request that ended two
owners does not end a third. An emergency never waits for it: the rules answer alone. Deadlines go
along as seconds that are left; the owner keeps them, and this side only where he cannot.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from models.backends import Tensors
from models.batching import rows_of
from models.errors import ModelError, ModelRunError, UnknownModel
from models.repository import ModelEntry
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.processes import frames
from serving.processes.frames import Chunk, Kind, MalformedFrame
from serving.processes.news import News
from serving.processes.wire import STUCK_BYTES, Wire

log = structlog.get_logger()

_LARGEST = frames.MAX_BODY // 2
_TRIES = 2
_AGAIN_S, _LONGEST_AGAIN_S = 0.05, 2.0
_LOOK_S = 0.1
_GRACE_S = 1.0
"""How long after a deadline the owner may still say so himself."""
_BACK_S = 3.0
"""When to come again while the owner starts."""


@dataclass(eq=False)
class _Asked:
    """A request of this process. `deadline` in the loop's time; `tries`: how often it was sent."""

    id: int
    model: str
    priority: Priority
    tensors: list[Chunk]
    deadline: float
    future: asyncio.Future[Inference]
    tries: int = 0
    sent: bool = False


class OwnerClient:
    """See the module docstring. Used within one event loop."""

    def __init__(self, path: Path, *, room: int) -> None:
        """`path`: the owner's socket. `room`: most requests that wait for an owner who is away.

        `_held` are the models that this process wants: a future that is done once they are served.
        """
        self._path, self._room = path, room
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._held: dict[str, asyncio.Future[None]] = {}
        self._hosting: dict[int, str] = {}
        self._wire: Wire | None = None
        self._look: asyncio.TimerHandle | None = None
        self._news = News()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._connecting = self._loop.create_task(self._stay_connected())

    @property
    def models(self) -> tuple[str, ...]:
        """Identities of the models that this process asks for."""
        return tuple(self._held)

    @property
    def alive(self) -> bool:
        """Whether the owner is there and serves all of them."""
        return self._wire is not None and all(
            state.done() and state.exception() is None for state in self._held.values()
        )

    async def infer(
        self,
        model: str,
        tensors: Tensors,
        *,
        priority: Priority = Priority.interactive,
        timeout_s: float | None = None,
    ) -> Inference:
        """See `InferenceEngine.infer`."""
        if self._draining:
            raise EngineStopped(model)
        state = self._held.get(model)
        if state is None:
            raise UnknownModel(f"no model {model} is hosted")
        tail = frames.packed(tensors, len(frames.infer_head(model, priority, timeout_s)))
        if (size := frames.size_of(tail)) > _LARGEST:
            raise TooManyRows(rows_of(tensors) * _LARGEST // size)
        asked = _Asked(
            next(self._ids), model, priority, tail,
            float("inf") if timeout_s is None else self._loop.time() + timeout_s,
            self._loop.create_future(),
        )  # fmt: skip
        if not state.done() or self._wire is None:
            if (why := self._refuse_to_wait(asked)) is not None:
                raise why
        elif state.exception() is not None:
            raise ModelRunError("the model could not be loaded")
        elif self._wire.unsent > STUCK_BYTES // 2:
            raise QueueFull(1.0)
        else:
            self._send(asked)
        self._asked[asked.id] = asked
        self._empty.clear()
        if self._look is None:
            self._look = self._loop.call_later(_LOOK_S, self._look_at_deadlines)
        try:
            return await asked.future
        finally:
            del self._asked[asked.id]
            if not self._asked:
                self._empty.set()
            if asked.sent and asked.future.cancelled() and self._wire is not None:
                self._wire.send(Kind.cancel, asked.id)

    async def host(self, entry: ModelEntry) -> None:
        """See `ModelHost.host`. Waits for the owner where he is away."""
        identity = entry.identity
        new = identity not in self._held
        if new:
            self._held[identity] = self._loop.create_future()
            self._ask_for(identity)
        try:
            await asyncio.shield(self._held[identity])
        except ModelError:
            self._held.pop(identity, None)
            raise
        if new and self._news.is_told() and self._wire is not None:
            self._wire.send(Kind.news, 0, [identity.encode()])

    def follow(self, reload: Callable[[str], Awaitable[object]]) -> None:
        """From now on, what another process puts in service is put in service here as well:
        `reload` is called with the model's name. What is hosted here from now on is news."""
        self._news.follow(reload)

    async def remove(self, model: str) -> None:
        """See `ModelHost.remove`. The model stays in the owner while another process holds it."""
        del self._held[model]
        if self._wire is not None:
            self._wire.send(Kind.remove, next(self._ids), [model.encode()])

    async def drain(self) -> None:
        """See `InferenceEngine.drain`."""
        self._draining = True
        await self._empty.wait()
        self._connecting.cancel()
        self._news.end()
        await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None:
            self._wire.close()

    # Requests.

    def _send(self, asked: _Asked) -> None:
        assert self._wire is not None
        asked.sent = True
        asked.tries += 1
        left = None if asked.deadline == float("inf") else asked.deadline - self._loop.time()
        head = frames.infer_head(asked.model, asked.priority, left)
        self._wire.send(Kind.infer, asked.id, [head, *asked.tensors])

    def _refuse_to_wait(self, asked: _Asked) -> Exception | None:
        """Why a request must not wait for the next owner; None where it may."""
        if asked.priority is Priority.emergency:
            return ModelRunError("the process that runs the models is away")
        if asked.tries >= _TRIES:
            return ModelRunError("the process that runs the models ended, twice")
        if sum(not other.sent for other in self._asked.values()) >= self._room:
            return QueueFull(_BACK_S)
        return None

    def _look_at_deadlines(self) -> None:
        """What the owner cannot refuse himself: he is away, or does not answer at all."""
        now = self._loop.time()
        for asked in self._asked.values():
            late = now - asked.deadline
            if late > (_GRACE_S if asked.sent else 0.0) and not asked.future.done():
                asked.future.set_exception(DeadlinePassed(asked.model))
                if asked.sent and self._wire is not None:
                    self._wire.send(Kind.cancel, asked.id)
        self._look = (
            self._loop.call_later(_LOOK_S, self._look_at_deadlines) if self._asked else None
        )

    # The connection.

    async def _stay_connected(self) -> None:
        """The socket outlives the owner: a connection made while he is away is his successor's."""
        pause = _AGAIN_S
        while True:
            lost: asyncio.Future[None] = self._loop.create_future()
            try:
                _, wire = await self._loop.create_unix_connection(
                    lambda lost=lost: Wire(self._received, lambda e: self._lost(lost, e)),  # type: ignore[misc]
                    str(self._path),
                )
            except OSError as error:
                log.error("owner of the models not reached", why=type(error).__name__)
            else:
                self._wire, pause = wire, _AGAIN_S
                for identity in self._held:
                    self._ask_for(identity)
                await lost
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_AGAIN_S)

    def _ask_for(self, identity: str) -> None:
        if self._wire is not None:
            request = next(self._ids)
            self._hosting[request] = identity
            self._wire.send(Kind.host, request, [identity.encode()])

    def _lost(self, lost: asyncio.Future[None], error: Exception | None) -> None:
        self._wire = None
        self._hosting.clear()
        if not lost.done():
            lost.set_result(None)
        if self._draining and not self._asked:
            return
        log.error(
            "owner of the models lost",
            why="closed" if error is None else str(error),
            asked=len(self._asked),
        )
        for identity, state in self._held.items():
            if state.done():
                self._held[identity] = self._loop.create_future()
        for asked in self._asked.values():
            if asked.sent and not asked.future.done():
                why = self._refuse_to_wait(asked)
                asked.sent = False
                if why is not None:
                    asked.future.set_exception(why)

    def _received(self, kind: Kind, request: int, body: bytearray) -> None:
        if request in self._hosting:
            self._hosted(kind, self._hosting.pop(request), body)
            return
        if kind is Kind.news:
            self._news.heard(frames.identity_of(body))
            return
        if kind is Kind.result:
            answer: Inference | Exception = frames.result_of(body)
        elif kind is Kind.refused:
            answer = frames.refused_of(body)
        elif kind is Kind.hosted:
            return
        else:
            raise MalformedFrame("a frame that only clients send")
        asked = self._asked.get(request)
        if asked is None or asked.future.done():
            return  # he has gone away
        asked.sent = False
        if isinstance(answer, Exception):
            asked.future.set_exception(answer)
        else:
            asked.future.set_result(answer)

    def _hosted(self, kind: Kind, identity: str, body: bytearray) -> None:
        state = self._held.get(identity)
        if state is None or state.done():
            return
        waiting = [a for a in self._asked.values() if a.model == identity and not a.future.done()]
        if kind is Kind.hosted:
            state.set_result(None)
            for asked in waiting:
                self._send(asked)
            return
        error = frames.refused_of(body)
        state.set_exception(error)
        state.exception()  # looked at: nobody may be waiting for it
        for asked in waiting:
            asked.future.set_exception(ModelRunError("the model could not be loaded"))
