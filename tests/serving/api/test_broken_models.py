"""Whatever breaks after the rules, an emergency is answered; what is less urgent gets the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.backends import Tensor, Tensors
from models.errors import ModelRunError
from serving.engine.scheduler import Limits, Scheduler
from serving.services import Services
from tests.serving.conftest import Api

NORMAL = {"heart_rate": 76, "respiratory_rate": 16, "systolic_bp": 124, "spo2": 98}
EMERGENCIES: dict[str, dict[str, Any]] = {
    "/v1/triage": {"text": "突然嘴歪，说话不清", "age_years": 70},
    "/v1/acuity": {"text": "toothache", "vitals": {"consciousness": "unresponsive"}},
}
ROUTINE: dict[str, dict[str, Any]] = {
    "/v1/triage": {"text": "流鼻涕、打喷嚏两天，没有发烧", "age_years": 30},
    "/v1/acuity": {"text": "ankle sprain", "age_years": 30, "vitals": NORMAL},
}


class Failing:
    """A network that fails on every batch."""

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        raise ModelRunError("the network failed")


class Nonsense:
    """A network that answers what nobody asked for."""

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        rows = len(next(iter(inputs.values())))
        return {"nonsense": np.zeros((rows, 1), dtype=np.float32)}


def cannot_prepare(services: Services, patch: pytest.MonkeyPatch) -> None:
    def fail(_request: object) -> None:
        raise ValueError("the tokenizer failed on 说话不清")

    for task in (services.hosted.triage, *services.hosted.acuity.values()):
        patch.setattr(task, "prepare", fail)


def queue_is_full(services: Services, patch: pytest.MonkeyPatch) -> None:
    for queue in services.engine._queues.values():
        patch.setattr(queue, "_at_once", 0)
        patch.setattr(queue, "_scheduler", Scheduler(Limits(capacity=0, reserved=0)))


def network_fails(services: Services, patch: pytest.MonkeyPatch) -> None:
    for queue in services.engine._queues.values():
        for worker in queue.workers:
            patch.setattr(worker.backend, "run", Failing().run)


def network_talks_nonsense(services: Services, patch: pytest.MonkeyPatch) -> None:
    for queue in services.engine._queues.values():
        for worker in queue.workers:
            patch.setattr(worker.backend, "run", Nonsense().run)


Breakage = Callable[[Services, pytest.MonkeyPatch], None]
BREAKAGES: dict[Breakage, int] = {
    cannot_prepare: 500,
    queue_is_full: 429,
    network_fails: 503,
    network_talks_nonsense: 500,
}
"""What can break, and the status of the error that it is."""


def events(api: Api) -> int:
    found = api.client.get("/v1/audit/verify", headers=api.administrator).json()
    assert found["ok"]
    return int(found["events"])


@pytest.mark.parametrize("route", EMERGENCIES)
@pytest.mark.parametrize("breakage", BREAKAGES)
def test_an_emergency_is_answered_and_recorded_by_the_rules_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch, route: str, breakage: Breakage
) -> None:
    breakage(api.services, monkeypatch)
    answer = api.client.post(route, json=EMERGENCIES[route], headers=api.app_user)
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["disposition"]["level"] == 1
    assert result["models"] == {}
    stored = api.client.get(
        f"/v1/decisions/{answer.json()['decision_id']}", headers=api.physician
    ).json()
    assert stored["models"] == {}
    assert stored["intact"] is True


@pytest.mark.parametrize("route", ROUTINE)
@pytest.mark.parametrize(("breakage", "status"), BREAKAGES.items())
def test_a_routine_case_gets_the_error_and_no_record(
    api: Api, monkeypatch: pytest.MonkeyPatch, route: str, breakage: Breakage, status: int
) -> None:
    before = events(api)
    breakage(api.services, monkeypatch)
    answer = api.client.post(route, json=ROUTINE[route], headers=api.app_user)
    assert answer.status_code == status
    assert "说话不清" not in answer.text
    assert events(api) == before


def test_one_broken_model_of_two_costs_an_emergency_only_its_own_part(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = api.services.hosted.models["urgency"].identity
    [worker] = api.services.engine.workers(identity)
    monkeypatch.setattr(worker.backend, "run", Failing().run)
    answer = api.client.post("/v1/triage", json=EMERGENCIES["/v1/triage"], headers=api.app_user)
    assert set(answer.json()["result"]["models"]) == {"department"}


def test_once_mended_the_models_are_asked_again(api: Api) -> None:
    for route, body in ROUTINE.items():
        answer = api.client.post(route, json=body, headers=api.app_user)
        assert answer.status_code == 200
        assert answer.json()["result"]["models"]
