"""The process that owns the models: one engine, asked by every HTTP process over a Unix socket.

It hosts what its clients ask for and knows nothing of HTTP, the database or a task. Requests of
all clients wait in the same queues and share batches. A client that breaks the protocol loses its
connection and what it had asked; nobody else notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import structlog

from models.backends.synthetic import entry_of
from models.errors import ModelError, UnknownModel
from models.repository import ModelEntry
from serving.engine.inference import ModelHost
from serving.processes import frames
from serving.processes.frames import Asked, Kind, MalformedFrame
from serving.processes.wire import Wire
from serving.settings import Settings

log = structlog.get_logger()

_LEAVE_S = 40.0
"""Longest wait for the clients to leave before the engine drains: they drain first."""
_LOOK_S = 1.0


class Owner:
    """Serves an engine to clients. Used within one event loop."""

    def __init__(self, engine: ModelHost, entry: Callable[[str], ModelEntry]) -> None:
        """`entry` finds a verified model by its identity; it raises ModelError, and may block."""
        self.engine = engine
        self._entry = entry
        self._hosting: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._clients: set[_Client] = set()
        self._alone = asyncio.Event()
        self._alone.set()

    def client(self) -> Wire:
        """The protocol of a new connection."""
        client = _Client(self)
        self._clients.add(client)
        self._alone.clear()
        return client.wire

    def spread(self, identity: str, source: _Client) -> None:
        """Tell all clients but one that a model has come."""
        for client in self._clients - {source}:
            client.wire.send(Kind.news, 0, [identity.encode()])

    def left(self, client: _Client) -> None:
        """A connection is over."""
        self._clients.discard(client)
        if not self._clients:
            self._alone.set()

    async def host(self, identity: str) -> None:
        """Serve a model, loaded once however many ask; raises ModelError."""
        if identity in self.engine.models:
            return
        if identity not in self._hosting:
            self._hosting[identity] = asyncio.create_task(self._load(identity))
        # Whoever goes away meanwhile does not take it from the others.
        await asyncio.shield(self._hosting[identity])

    async def _load(self, identity: str) -> None:
        try:
            # In the order asked, and each with the machine to itself: loading may measure speed.
            async with self._one_at_a_time:
                entry = await asyncio.to_thread(self._entry, identity)
                for note in entry.manifest.licence_notes:
                    log.warning("licence", model=entry.manifest.name, note=note)
                await self.engine.host(entry)
        finally:
            del self._hosting[identity]

    async def retire(self) -> None:
        """Take out of service what no client holds."""
        for identity in self.engine.models:
            # Asked each time: somebody may come back for one while another drains.
            held = any(identity in client.held for client in self._clients)
            if not held and identity in self.engine.models:
                log.info("model retired", model=identity)
                await self.engine.remove(identity)

    async def drain(self) -> None:
        """Wait until the clients have left, which have requests to finish, then end the engine."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self._alone.wait()
        await self.engine.drain()
        for client in tuple(self._clients):
            client.wire.close()


class _Client:
    """One connection and what it has asked."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._asked: dict[int, asyncio.Task[None]] = {}
        self.held: set[str] = set()
        self.wire = Wire(self._received, self._lost)

    def _received(self, kind: Kind, request: int, body: bytearray) -> None:
        if kind is Kind.cancel:
            # What was answered meanwhile is not there any more.
            if task := self._asked.get(request):
                task.cancel()
            return
        if kind is Kind.news:
            self._owner.spread(frames.identity_of(body), self)
            return
        if request in self._asked:
            raise MalformedFrame("an id that is in use")
        if kind is Kind.infer:
            work = self._infer(request, frames.infer_of(body))
        elif kind is Kind.host:
            work = self._host(request, frames.identity_of(body))
        elif kind is Kind.remove:
            work = self._remove(request, frames.identity_of(body))
        else:
            raise MalformedFrame("a frame that only the owner sends")
        task = asyncio.get_running_loop().create_task(work)
        self._asked[request] = task
        task.add_done_callback(lambda _: self._asked.pop(request, None))

    async def _infer(self, request: int, asked: Asked) -> None:
        try:
            answer = await self._owner.engine.infer(
                asked.model, asked.tensors, priority=asked.priority, timeout_s=asked.timeout_s
            )
            body = frames.result_body(answer)
        except Exception as error:
            self.wire.send(Kind.refused, request, [frames.refused_body(error)])
        else:
            self.wire.send(Kind.result, request, body)

    async def _host(self, request: int, identity: str) -> None:
        self.held.add(identity)  # from the beginning: it must not be retired in between
        try:
            await self._owner.host(identity)
        except Exception as error:
            self.held.discard(identity)
            log.error("model not hosted", model=identity, why=str(error))
            self.wire.send(Kind.refused, request, [frames.refused_body(error)])
        else:
            self.wire.send(Kind.hosted, request)

    async def _remove(self, request: int, identity: str) -> None:
        """The model stays as long as another client holds it; see `Owner.retire`."""
        self.held.discard(identity)
        await self._owner.retire()
        self.wire.send(Kind.hosted, request)

    def _lost(self, error: Exception | None) -> None:
        if isinstance(error, MalformedFrame):
            log.error("connection ended", why=str(error))
        for task in self._asked.values():
            task.cancel()
        self._owner.left(self)


def found_by(settings: Settings) -> Callable[[str], ModelEntry]:
    """How an identity becomes a verified model under these settings."""
    synthetic = {entry.identity: entry for entry in map(entry_of, settings.synthetic.split())}

    def entry(identity: str) -> ModelEntry:
        name, _, version = identity.rpartition("@")
        if identity in synthetic:
            return synthetic[identity]
        if not version.isascii() or not version.isdigit():
            raise UnknownModel("no model of that name")
        return settings.repository.get(name, int(version))

    return entry


async def serve(owner: Owner, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer the clients that connect to a socket until told to stop, then drain.

    Raises ModelError when a worker of a model has ended: there is no way on but a new process.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(owner.client, sock=listening)
    try:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stop.wait()
            if not owner.engine.alive:
                raise ModelError("a model's worker has ended")
    finally:
        server.close()
    await owner.drain()
