"""Models are replaced while requests run: nobody is refused, and no answer mixes versions."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from models.errors import ModelIntegrityError, UnknownModel
from models.manifest import read_manifest, write_manifest
from models.repository import SHIPPED, ModelRepository
from models.triage.request import TriageRequest
from serving import users
from serving.services import Services, open_services
from serving.settings import Settings
from serving.storage.codes import Role
from serving.triaging import triage
from tests.servers import ServerProcess

NAMES = ("department", "embedding", "urgency")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    for name in NAMES:
        folder = ModelRepository().get(name).folder
        shutil.copytree(folder, root / folder.relative_to(SHIPPED))
    return root


def next_version(root: Path, name: str) -> Path:
    """The same network once more, one version later."""
    entry = ModelRepository(root).get(name)
    version = entry.manifest.version + 1
    folder = entry.folder.parent / str(version)
    shutil.copytree(entry.folder, folder)
    write_manifest(folder, entry.manifest.model_copy(update={"version": version}))
    return folder


def settings(root: Path, **more: object) -> Settings:
    return Settings(models=root, var=root.parent / "var", _env_file=None, **more)  # type: ignore[arg-type, call-arg]


async def opened(given: Settings) -> Services:
    return await open_services(given, CollectorRegistry())


def test_a_new_version_takes_over_under_load_without_losing_a_request(repository: Path) -> None:
    async def scenario() -> None:
        services = await opened(settings(repository))
        new = users.create(services.db, name="App", role=Role.PATIENT_APP)
        old = services.hosted.models["department"].identity
        going = True

        async def caller() -> list[int]:
            versions = []
            while going:
                done = await triage(services, TriageRequest(text="嗓子疼两天"), new.user)
                versions.append(done.result.models["department"])
            return versions

        callers = [asyncio.create_task(caller()) for _ in range(4)]
        await asyncio.sleep(0.2)
        folder = next_version(repository, "department")
        wanted = read_manifest(folder).version
        assert await services.hosting.reload("department") == (f"department@{wanted}",)
        while old in services.engine.models:  # it leaves when the last request that held it is over
            await asyncio.sleep(0.01)
        going = False
        seen = await asyncio.gather(*callers)
        assert all(versions == sorted(versions) for versions in seen)
        assert {versions[-1] for versions in seen} | {wanted} == {wanted}
        assert services.engine.alive
        await services.close()

    asyncio.run(scenario())


def test_a_damaged_version_changes_nothing(repository: Path) -> None:
    async def scenario() -> None:
        services = await opened(settings(repository))
        before = services.hosted
        folder = next_version(repository, "urgency")
        with (folder / "model.onnx").open("ab") as network:
            network.write(b"x")
        with pytest.raises(ModelIntegrityError):
            await services.hosting.reload()
        assert services.hosted is before
        with pytest.raises(UnknownModel):
            await services.hosting.reload("nobody")
        await services.close()

    asyncio.run(scenario())


def test_a_pinned_version_is_served_and_all_versions_can_be_hosted(repository: Path) -> None:
    first = ModelRepository(repository).get("department").manifest.version
    next_version(repository, "department")

    async def scenario() -> None:
        pinned = settings(
            repository, model_versions={"department": first}, all_versions=True, synthetic="echo"
        )
        services = await opened(pinned)
        assert services.hosted.latest("department").manifest.version == first
        assert {f"department@{first}", f"department@{first + 1}", "echo@1"} <= set(
            services.engine.models
        )
        assert set(services.hosted.entries) == set(services.engine.models)
        await services.close()
        with pytest.raises(UnknownModel):
            await opened(settings(repository, model_versions={"department": 99}))

    asyncio.run(scenario())


def test_a_reload_of_one_model_leaves_the_others_alone(repository: Path) -> None:
    next_version(repository, "urgency")

    async def scenario() -> None:
        services = await opened(settings(repository))
        next_version(repository, "department")
        next_version(repository, "urgency")
        before = services.hosted.models["department"].identity
        (changed,) = await services.hosting.reload("urgency")
        assert changed.startswith("urgency@")
        assert services.hosted.models["department"].identity == before
        assert len(await services.hosting.reload()) == 1
        assert await services.hosting.reload() == ()
        await services.close()

    asyncio.run(scenario())


def test_a_hang_up_puts_the_newest_versions_into_service(repository: Path, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "server", {"FENZHEN_MODELS": str(repository)})
    headers = {"Authorization": f"Bearer {server.add_user('Admin', Role.ADMINISTRATOR)}"}

    def version() -> object:
        listed = httpx.get(server.url + "/v1/models/department", headers=headers)
        return listed.json()["version"]

    try:
        server.start()
        first = version()
        assert server.process is not None
        wanted = read_manifest(next_version(repository, "department")).version
        assert first != wanted
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while version() != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert server.end() == 0
    finally:
        server.close()
