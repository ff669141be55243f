"""Running: open the services, make the first users, serve until told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import ModelError
from serving import logs
from serving.accepting import Accepting
from serving.app import create_app
from serving.first_start import announce_start
from serving.interpreter import settle
from serving.one_write import OneWrite
from serving.services import Services
from serving.settings import Settings

log = structlog.get_logger()

FAREWELL_S = 1.0
"""How long a server that ends says good-bye; see `Server`."""


async def run(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT, then finish what was accepted.

    Raises SystemExit with a sentence when the server cannot start, for example because a
    needed model is missing or not licensed.
    """
    logs.configure(settings.log_level)

    def opened(services: Services) -> None:
        for entry in services.hosted.models.values():
            for note in entry.manifest.licence_notes:
                log.warning("licence", model=entry.manifest.name, note=note)
        announce_start(settings, services.db, announce)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up, services)
        settle()

    def hang_up(services: Services) -> None:
        reloading.append(asyncio.ensure_future(_reload(services)))

    reloading: list[asyncio.Future[None]] = []
    server = server_of(create_app(settings, opened=opened), settings)
    await server.serve()
    if not server.started:
        raise SystemExit(1)


async def _reload(services: Services) -> None:
    try:
        new = await services.hosting.reload()
    except ModelError as error:
        log.error("models not reloaded", why=str(error))
    else:
        log.info("models reloaded", new=new)


def server_of(
    app: ASGIApp, settings: Settings, *, started: Callable[[], Awaitable[None]] | None = None
) -> Server:
    """The HTTP server of one process; `started` is called when it listens."""
    return Server(
        uvicorn.Config(
            _Starting(app),
            interface="asgi3",
            http=OneWrite,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=20,
        ),
        started,
    )


class Server(uvicorn.Server):
    """Ends as its clients would wish: no request that was sent to it is cut off.

    A connection that is kept alive may be sent the next request at the very moment when it is
    closed. So for a while everybody is answered with `Connection: close` first, and goes by
    himself; only who says nothing that long is hung up on.
    """

    def __init__(
        self, config: uvicorn.Config, started: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(config)
        self._has_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(None if sockets is None else [])
        self.servers.extend(Accepting(one, self._connection) for one in sockets or ())  # type: ignore[misc]
        if self._has_started is not None:
            await self._has_started()

    def _connection(self) -> asyncio.Protocol:
        config = self.config
        return config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        for listener in self.servers:
            listener.close()
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        until = asyncio.get_running_loop().time() + FAREWELL_S
        while state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


class _Starting:
    """Passes everything on; says in one sentence why a start failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "lifespan":
            return self._app(scope, receive, send)
        return self._lifespan(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {**message, "message": ""}
                last = traceback.format_exception_only(sys.exception())[-1]
                log.error("start failed", why=last.strip())
            await send(message)

        await self._app(scope, receive, sending)
