"""Running: open the services, make the first users, serve until told to stop."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import logs, users
from serving.app import create_app
from serving.services import Services
from serving.settings import Settings
from serving.storage.codes import Role
from serving.storage.database import Database

log = structlog.get_logger()

FIRST_USERS = (
    ("First physician", Role.PHYSICIAN),
    ("First administrator", Role.ADMINISTRATOR),
    ("Patient app", Role.PATIENT_APP),
)


def make_first_users(db: Database) -> dict[Role, str]:
    """One user of each role in an empty database; returns their keys, shown this once."""
    if users.list_users(db):
        return {}
    return {role: users.create(db, name=name, role=role).api_key for name, role in FIRST_USERS}


async def run(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted.

    Raises SystemExit with a sentence when the server cannot start, for example because a
    needed model is missing or not licensed.
    """
    logs.configure(settings.log_level)

    def opened(services: Services) -> None:
        for entry in services.models.values():
            for note in entry.manifest.licence_notes:
                log.warning("licence", model=entry.manifest.name, note=note)
        keys = make_first_users(services.db)
        if keys:
            announce("\nFirst start. These keys are shown once; keep them:")
            for role, key in keys.items():
                announce(f"  {role.value:<14} {key}")
        url = f"http://{settings.host}:{settings.port}"
        announce(f"\nPatient chat  {url}/\nConsole       {url}/console  (sign in with a key)\n")

    app = create_app(settings, opened=opened)
    server = uvicorn.Server(
        uvicorn.Config(
            _Starting(app),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=20,
        )
    )
    await server.serve()
    if not server.started:
        raise SystemExit(1)


class _Starting:
    """Passes everything on; says in one sentence why a start failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {**message, "message": ""}
                last = traceback.format_exception_only(sys.exception())[-1]
                log.error("start failed", why=last.strip())
            await send(message)

        await self._app(scope, receive, sending)
