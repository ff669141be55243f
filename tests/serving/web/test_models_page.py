"""The console's page of the hosted models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving.storage.codes import Role
from tests.serving.conftest import Api


@pytest.fixture
def staff(api: Api) -> TestClient:
    """An administrator's browser, signed in."""
    client = TestClient(api.client.app, raise_server_exceptions=False)
    client.portal = api.client.portal
    client.post("/console/signin", data={"key": api.keys[Role.ADMINISTRATOR]})
    return client


def test_every_model_is_shown_with_its_card(api: Api, staff: TestClient) -> None:
    page = staff.get("/console/models")
    assert page.status_code == 200
    assert page.text.count('class="model-card"') == len(api.services.hosted.models)


def test_a_card_that_vanished_costs_the_page_nothing_else(
    api: Api, staff: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = api.services.hosted.models
    for name, entry in models.items():
        monkeypatch.setitem(models, name, replace(entry, folder=tmp_path))  # type: ignore[arg-type]
    page = staff.get("/console/models")
    assert page.status_code == 200
    assert "department@" in page.text
    assert "model-card" not in page.text
    listed = api.client.get("/v1/models", headers=api.administrator)
    assert listed.status_code == 200
    assert {m["card"] for m in listed.json() if m["not_loaded"] is None} == {""}
