"""Opening a server: what its models' licences keep out, and what stops a start."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from models.errors import ModelLicenceError, UnknownModel
from models.manifest import Manifest, read_manifest, write_manifest
from models.repository import ModelRepository
from serving.app import create_app
from serving.first_start import make_first_users
from serving.hosting import NEEDED
from serving.services import Services, open_services
from serving.settings import Settings
from serving.storage.codes import Role

SHIPPED = Settings(_env_file=None).models  # type: ignore[call-arg]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The models without which there is no server, in a folder of their own."""
    folder = tmp_path / "models"
    for name in NEEDED:
        shutil.copytree(SHIPPED / name, folder / name)
    return folder


def settings(repository: Path, **more: bool) -> Settings:
    return Settings(models=repository, var=repository.parent / "var", _env_file=None, **more)  # type: ignore[call-arg,arg-type]


def forbid(folder: Path, **changed: str) -> None:
    """The model in `folder` learned from a set that forbids commercial use."""
    manifest = read_manifest(folder)
    sets = [manifest.training_sets[0].model_copy(update={"commercial_use": "forbidden"})]
    changed_manifest = manifest.model_copy(update={"training_sets": sets, **changed})
    write_manifest(folder, Manifest.model_validate(changed_manifest.model_dump()))


@pytest.fixture
def with_research_model(repository: Path) -> Path:
    folder = repository / "research" / "1"
    shutil.copytree(SHIPPED / "acuity_esi" / "1", folder)
    forbid(folder, name="research")
    return repository


def test_a_model_for_research_alone_is_left_out_and_the_rest_is_served(
    with_research_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys: dict[Role, str] = {}

    def opened(services: Services) -> None:
        keys.update(make_first_users(services.db))
        assert "research" not in services.hosted.models
        assert "research" not in services.hosted.acuity
        assert "research@1" not in services.engine.models

    with TestClient(create_app(settings(with_research_model), opened=opened)) as client:
        assert "model not loaded" in "".join(capsys.readouterr())
        user = {"Authorization": f"Bearer {keys[Role.ADMINISTRATOR]}"}
        listed = {m["name"]: m["not_loaded"] for m in client.get("/v1/models", headers=user).json()}
        assert "non-commercial" in listed.pop("research")
        assert listed == dict.fromkeys(NEEDED)
        one = client.get("/v1/models/research", headers=user).json()
        assert "allow_noncommercial" in one["not_loaded"]
        app_user = {"Authorization": f"Bearer {keys[Role.PATIENT_APP]}"}
        answer = client.post("/v1/triage", json={"text": "流鼻涕两天"}, headers=app_user)
        assert answer.status_code == 200


def test_with_leave_the_research_model_is_hosted(with_research_model: Path) -> None:
    async def scenario() -> None:
        allowed = settings(with_research_model, allow_noncommercial=True)
        services = await open_services(allowed, CollectorRegistry())
        assert "research@1" in services.engine.models
        assert services.hosted.refused == {}
        await services.close()

    asyncio.run(scenario())


def test_an_imaging_model_that_would_answer_any_picture_is_not_hosted(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = ModelRepository().get("cxr_pneumonia").network.parent
    folder = repository / shipped.relative_to(SHIPPED)
    shutil.copytree(shipped, folder)
    manifest = read_manifest(folder)
    anybody = manifest.population.model_copy(update={"image_kind": None})
    write_manifest(folder, manifest.model_copy(update={"population": anybody, "ood": None}))
    keys: dict[Role, str] = {}

    def opened(services: Services) -> None:
        keys.update(make_first_users(services.db))
        assert services.hosted.imaging == {}
        assert not any(m.startswith("cxr_pneumonia") for m in services.engine.models)

    with TestClient(create_app(settings(repository), opened=opened)) as client:
        assert "would answer any picture" in "".join(capsys.readouterr())
        user = {"Authorization": f"Bearer {keys[Role.ADMINISTRATOR]}"}
        listed = {m["name"]: m["not_loaded"] for m in client.get("/v1/models", headers=user).json()}
        assert "would answer any picture" in listed["cxr_pneumonia"]


@pytest.mark.parametrize("name", NEEDED)
def test_without_a_model_that_is_needed_there_is_no_start(repository: Path, name: str) -> None:
    forbid(next((repository / name).iterdir()))
    with pytest.raises(ModelLicenceError, match=name):
        asyncio.run(open_services(settings(repository), CollectorRegistry()))
    shutil.rmtree(repository / name)
    with pytest.raises(UnknownModel, match=name):
        asyncio.run(open_services(settings(repository), CollectorRegistry()))
