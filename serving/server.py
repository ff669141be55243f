"""Running: open the services, make the first users, serve until told to stop."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import uvicorn

from models.errors import ModelError
from serving import logs, users
from serving.app import create_app
from serving.services import open_services
from serving.settings import Settings
from serving.storage.codes import Role
from serving.storage.database import Database

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

    Raises SystemExit with a sentence when a model is missing, altered or not licensed.
    """
    logs.configure(settings.log_level)
    try:
        services = await open_services(settings)
    except ModelError as error:
        raise SystemExit(f"fenzhen: {error}") from error
    for entry in services.models.values():
        for note in entry.manifest.licence_notes:
            structlog.get_logger().warning("licence", model=entry.manifest.name, note=note)
    url = f"http://{settings.host}:{settings.port}"
    keys = make_first_users(services.db)
    if keys:
        announce("\nFirst start. These keys are shown once; keep them:")
        for role, key in keys.items():
            announce(f"  {role.value:<14} {key}")
    announce(f"\nPatient chat  {url}/\nConsole       {url}/console  (sign in with a key)\n")
    config = uvicorn.Config(
        create_app(services),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
        h11_max_incomplete_event_size=65_536,
    )
    await uvicorn.Server(config).serve()
