"""A real server on a real port, for clients that speak HTTP by themselves.

A test module asks for it with `pytest_plugins = ["tests.serving.live"]`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from serving import users
from serving.app import create_app
from serving.server import make_first_users
from serving.services import Services
from serving.settings import Settings
from serving.storage.codes import Role

START_S = 120


@dataclass(frozen=True)
class Live:
    """A running server with a key of every role."""

    url: str
    services: Services
    keys: dict[Role, str]

    def headers(self, role: Role = Role.PHYSICIAN) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with small limits and an empty database of its own."""
    keys: dict[Role, str] = {}
    held: list[Services] = []

    def opened(services: Services) -> None:
        keys.update(make_first_users(services.db))
        made = users.create(services.db, name="CR room 2", role=Role.IMAGING_DEVICE)
        keys[Role.IMAGING_DEVICE] = made.api_key
        held.append(services)

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        public_url=url,
        var=tmp_path_factory.mktemp("live"),
        allow_noncommercial=True,
        max_image_bytes=1_000_000,
        max_stow_bytes=3_000_000,
        max_stow_instances=20,
        _env_file=None,  # type: ignore[call-arg]
    )
    app = create_app(settings, opened=opened)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server was not ready in time"
        time.sleep(0.05)
    yield Live(url, held[0], keys)
    server.should_exit = True
    thread.join(30)
