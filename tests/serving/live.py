"""A server with small limits and a key of every role, for clients that speak HTTP by themselves.

A test module asks for it with `pytest_plugins = ["tests.serving.live"]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.storage.codes import Role
from serving.storage.database import Database
from tests.servers import ServerProcess


@dataclass(frozen=True)
class Live:
    """A running server with a key of every role; its folder, and a look into its database."""

    url: str
    var: Path
    db: Database
    keys: dict[Role, str]

    def headers(self, role: Role = Role.PHYSICIAN) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with an empty database of its own."""
    server = ServerProcess(
        tmp_path_factory.mktemp("live"),
        {
            "FENZHEN_ALLOW_NONCOMMERCIAL": "true",
            "FENZHEN_MAX_IMAGE_BYTES": "1000000",
            "FENZHEN_MAX_STOW_BYTES": "3000000",
            "FENZHEN_MAX_STOW_INSTANCES": "20",
        },
    )
    server.settings["FENZHEN_PUBLIC_URL"] = server.url
    keys = {role: server.add_user(f"Live {role}", role) for role in Role}
    db = server.database()
    try:
        server.start()
        yield Live(server.url, server.var, db, keys)
        assert server.end() == 0, "a server that is told to stop ends cleanly"
    finally:
        server.close()
        db.close()
