"""The start of a process of a server of several: `python -m serving.processes.start DESCRIPTOR`.

The supervisor starts it, on the other end of the descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog
import uvloop

from serving import logs
from serving.interpreter import settle
from serving.processes.setup import Line, Order, Role, Setup, metrics_path, settings_of
from serving.settings import Settings

log = structlog.get_logger()


def main(descriptor: int) -> None:
    """Do the part that the supervisor gives."""
    line = Line(descriptor)
    settings = settings_of(line.setup)
    logs.configure(settings.log_level)
    # A process that is told to stop drains and ends well, whoever tells it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    part = {Role.owner: own_models, Role.http: serve_http}[line.setup.role]
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(part(line, settings))


async def own_models(line: Line, settings: Settings) -> None:
    """Own the models until told to stop."""
    from prometheus_client import CollectorRegistry

    from models.errors import ModelError
    from serving.engine.local import LocalEngine
    from serving.engine.metrics import EngineMetrics
    from serving.processes.owner import Owner, found_by, serve

    engine = LocalEngine(settings, EngineMetrics(CollectorRegistry()))
    owner = Owner(engine, found_by(settings))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def end() -> None:
        stop.set()

    obeying = asyncio.create_task(_obey(line, {Order.stop: end, Order.retire: owner.retire}))
    (listening,) = _sockets(line.setup)
    await line.ready()
    settle()
    try:
        await serve(owner, listening, stop)
    except ModelError as error:
        log.error("owner of the models ended", why=str(error))
        sys.exit(1)
    obeying.cancel()
    if line.broken:
        # The last to go. The supervisor was killed and cannot do it.
        shutil.rmtree(line.setup.folder, ignore_errors=True)


async def serve_http(line: Line, settings: Settings) -> None:
    """Serve HTTP from the shared sockets until told to stop."""
    from serving.app import create_app
    from serving.ended_sessions import EndedSessions
    from serving.processes.client import OwnerClient
    from serving.processes.metrics import SharedMetrics
    from serving.security import Sessions
    from serving.server import server_of
    from serving.services import Services

    setup = line.setup
    key = bytes.fromhex(setup.session_key)

    def ask_owner() -> OwnerClient:
        return OwnerClient(setup.engine, room=settings.queue_capacity)

    def opened(services: Services) -> None:
        assert isinstance(services.engine, OwnerClient)
        services.engine.follow(services.hosting.reload)
        settle()

    app = create_app(
        settings,
        opened=opened,
        engine=ask_owner,
        sessions=Sessions(key, settings.session_hours, ended=EndedSessions(setup.ended)),
        exposition=SharedMetrics(metrics_path(Path(setup.folder))).exposition,
    )
    server = server_of(app, settings, started=line.ready)
    serving = asyncio.current_task()
    assert serving is not None

    async def end() -> None:
        if server.started:
            server.should_exit = True
        else:
            serving.cancel()

    obeying = asyncio.create_task(_obey(line, {Order.stop: end}))
    await server.serve(_sockets(setup))
    obeying.cancel()


async def _obey(line: Line, acts: Mapping[Order, Callable[[], Awaitable[None]]]) -> None:
    async for order in line.orders():
        await acts[order]()


def _sockets(setup: Setup) -> list[socket.socket]:
    return [socket.socket(fileno=descriptor) for descriptor in setup.listening]


if __name__ == "__main__":
    main(int(sys.argv[1]))
