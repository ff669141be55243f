"""What a server tells whoever started it; in an empty database it makes the first users."""

from __future__ import annotations

from collections.abc import Callable

from serving import users
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


def announce_start(settings: Settings, db: Database, announce: Callable[[str], None]) -> None:
    """Tell where the server is and, in an empty database, the keys of its first users."""
    keys = make_first_users(db)
    if keys:
        announce("\nFirst start. These keys are shown once; keep them:")
        for role, key in keys.items():
            announce(f"  {role.value:<14} {key}")
    url = f"http://{settings.host}:{settings.port}"
    announce(f"\nPatient chat  {url}/\nConsole       {url}/console  (sign in with a key)\n")
