"""A real application on a real database with the shipped models, once for all API tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from serving.settings import Settings
from serving.storage.codes import Role

if TYPE_CHECKING:
    from serving.services import Services


@dataclass(frozen=True)
class Api:
    """A client with a key of every role."""

    client: TestClient
    services: Services
    keys: dict[Role, str]

    def headers(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    @property
    def app_user(self) -> dict[str, str]:
        return self.headers(Role.PATIENT_APP)

    @property
    def physician(self) -> dict[str, str]:
        return self.headers(Role.PHYSICIAN)

    @property
    def administrator(self) -> dict[str, str]:
        return self.headers(Role.ADMINISTRATOR)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    # Here, so that tests of one part need not import the whole application.
    from serving.app import create_app
    from serving.first_start import make_first_users

    var: Path = tmp_path_factory.mktemp("var")
    keys: dict[Role, str] = {}
    held: list[Services] = []

    def opened(services: Services) -> None:
        keys.update(make_first_users(services.db))
        held.append(services)

    app = create_app(Settings(var=var, _env_file=None), opened=opened)  # type: ignore[call-arg]
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(client, held[0], keys)
