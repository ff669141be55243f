"""Keeps a server of several processes whole: starts them, starts them again, stops them in order.

It binds the sockets and holds them, so nobody who connects is turned away while a process is
replaced; it touches no request and runs no model. Not uvicorn's `Multiprocess`: that one knows one
kind of process, asks each twice a second whether it lives and starts a broken one again for ever.
Here the end of a process is heard of at once, the owner goes last, and a crash loop has an end.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from serving import logs
from serving.ended_sessions import new_record
from serving.first_start import announce_start
from serving.processes.metrics import SharedMetrics
from serving.processes.setup import Role, Setup, as_json, engine_path, metrics_path
from serving.processes.slot import CannotGoOn, Slot
from serving.settings import Settings
from serving.storage.database import Database

log = structlog.get_logger()

HTTP_LEAVES_S, OWNER_LEAVES_S = 60.0, 50.0
_BACKLOG = 2048


async def run(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. SIGHUP replaces the HTTP processes."""
    logs.configure(settings.log_level)
    if settings.engine != "local":
        log.error("start failed", why="several HTTP processes share an engine of this machine")
        return 1
    try:
        sockets = _listening(settings)
    except OSError as error:
        log.error("start failed", why=f"cannot listen on {settings.host}:{settings.port}: {error}")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="fenzhen-"))  # nobody else may look into it
    try:
        metrics_path(folder).mkdir()
        engine = socket.socket(socket.AF_UNIX)
        try:
            engine.bind(str(engine_path(folder)))
        except OSError as error:
            log.error("start failed", why=f"no socket at {engine_path(folder)}: {error}")
            return 1
        return await Supervisor(settings, folder, sockets, engine).run(announce)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Supervisor:
    """See the module docstring. `sockets` are those of HTTP, `engine` is the owner's."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        sockets: list[socket.socket],
        engine: socket.socket,
    ) -> None:
        self._settings, self._folder, self._sockets = settings, folder, sockets
        self._metrics = SharedMetrics(metrics_path(folder))
        self._engine = engine
        self._engine.listen(_BACKLOG)
        self._ended = new_record()
        self._key = secrets.token_bytes(32).hex()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots: list[Slot] = []

    async def run(self, announce: Callable[[str], None]) -> int:
        """See `run`."""
        loop = asyncio.get_running_loop()
        stop, again = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, stop)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        stopping = asyncio.create_task(stop.wait())
        try:
            db = await asyncio.to_thread(_migrated, self._settings)
            try:
                owner = self._slot(Role.owner)
                https = [self._slot(Role.http) for _ in range(self._settings.workers)]
                up = asyncio.create_task(_all_ready([owner, *https]))
                if await self._first(up, stopping) is up:
                    await asyncio.to_thread(announce_start, self._settings, db, announce)
                up.cancel()
            finally:
                db.close()
            while not stop.is_set():
                hup = asyncio.create_task(again.wait())
                if await self._first(hup, stopping) is hup:
                    again.clear()
                    rolling = asyncio.create_task(self._roll(owner, https))
                    await self._first(rolling, stopping)
                    rolling.cancel()
                hup.cancel()
        except CannotGoOn as error:
            log.error("server ended", why=str(error))
            await self._end()
            return 1
        await self._end()
        return 0

    async def _first(self, *awaited: asyncio.Task[Any]) -> asyncio.Task[Any]:
        """The first of these that is done; raises CannotGoOn when a process cannot be kept."""
        done, _ = await asyncio.wait({*awaited, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        if self._failed in done:
            self._failed.result()
        return next(one for one in awaited if one in done)

    def _slot(self, role: Role) -> Slot:
        sockets = [self._engine] if role is Role.owner else self._sockets
        setup = Setup(
            role=role,
            settings=as_json(self._settings),
            folder=str(self._folder),
            listening=tuple(one.fileno() for one in sockets),
            session_key=self._key if role is Role.http else "",
            ended=self._ended if role is Role.http else -1,
        )
        slot = Slot(setup, self._metrics.forget, self._failed)
        self._slots.append(slot)
        return slot

    async def _roll(self, owner: Slot, https: list[Slot]) -> None:
        """Replace the HTTP processes one after the other, then let the old models go."""
        log.info("replacing the HTTP processes")
        for i, old in enumerate(https):
            new = self._slot(Role.http)
            new.needed = False
            if not await new.up():
                log.error("replacement not ready: the processes before it stay", pid=new.pid)
                self._slots.remove(new)
                return
            new.needed, https[i] = True, new
            await old.leave(HTTP_LEAVES_S)
            self._slots.remove(old)
        owner.retire()
        log.info("HTTP processes replaced")

    def _told_to_stop(self, stop: asyncio.Event) -> None:
        if stop.is_set():  # once more: at once
            for slot in self._slots:
                slot.kill()
        stop.set()

    async def _end(self) -> None:
        """The HTTP processes first, with what they were asked; then the owner of the models."""
        for one in self._sockets:
            one.close()
        https = [slot for slot in self._slots if slot.role is Role.http]
        owners = [slot for slot in self._slots if slot.role is Role.owner]
        await asyncio.gather(*(slot.leave(HTTP_LEAVES_S) for slot in https))
        await asyncio.gather(*(slot.leave(OWNER_LEAVES_S) for slot in owners))
        self._engine.close()


async def _all_ready(slots: list[Slot]) -> None:
    await asyncio.gather(*(slot.up() for slot in slots))


def _migrated(settings: Settings) -> Database:
    db = Database(settings.database)
    db.migrate()
    return db


def _listening(settings: Settings) -> list[socket.socket]:
    """Sockets for every address of the host. Raises OSError."""
    found = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return [
        socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        for family, *_, address in dict.fromkeys(found)
    ]
