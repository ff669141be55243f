"""`fenzhen serve` with the engine `ray`: its clients cannot tell it from one without."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from models.repository import SHIPPED
from serving.storage.codes import Role
from tests.cluster.conftest import NO_RAY, Nodes, children, gone
from tests.servers import ServerProcess

pytest.importorskip("ray", reason=NO_RAY)
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
]

COMPLAINTS = (
    "胸口压榨样疼痛半小时，出冷汗",
    "流鼻涕两天，没有发烧",
    "my ankle is swollen since yesterday",
)


@pytest.fixture(scope="module")
def few_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of a server with what a triage needs: each model is a process on the cluster."""
    folder: Path = tmp_path_factory.mktemp("models")
    for name in ("department", "embedding", "urgency"):
        shutil.copytree(SHIPPED / name, folder / name)
    return {
        "FENZHEN_MODELS": str(folder),
        "FENZHEN_ALLOW_NONCOMMERCIAL": "true",
        "FENZHEN_MODEL_THREADS": "1",
    }


def triaged(var: Path, settings: dict[str, str]) -> list[object]:
    """What a server says to each complaint; afterwards nothing of it runs any more."""
    server = ServerProcess(var, settings)
    key = server.add_user("Patient app", Role.PATIENT_APP)
    try:
        server.start()
        results = []
        for text in COMPLAINTS:
            answer = httpx.post(
                server.url + "/v1/triage",
                json={"text": text},
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            )
            assert answer.status_code == 200, answer.text
            results.append(answer.json()["result"])
        on_ray = "fenzhen_engine_retries" in httpx.get(server.url + "/metrics").text
        assert on_ray == (settings.get("FENZHEN_ENGINE") == "ray"), "the models run elsewhere"
        assert server.process is not None
        started = children(server.process.pid)
        assert server.end() == 0, "a server that is told to stop ends cleanly"
        gone(started)
        return results
    finally:
        server.close()


def test_on_a_cluster_it_triages_as_without_one_and_leaves_nothing_there(
    nodes: Nodes, few_models: dict[str, str], tmp_path: Path
) -> None:
    cluster = {"FENZHEN_ENGINE": "ray", "FENZHEN_RAY_ADDRESS": nodes.address}
    assert triaged(tmp_path / "ray", few_models | cluster) == triaged(
        tmp_path / "local", few_models
    )
    assert _applications(nodes.address) == []


def test_it_starts_a_cluster_of_its_own_and_ends_it(
    few_models: dict[str, str], tmp_path: Path
) -> None:
    results = triaged(tmp_path, few_models | {"FENZHEN_ENGINE": "ray"})
    assert len(results) == len(COMPLAINTS)


def _applications(address: str) -> list[str]:
    """What is on the cluster now."""
    import ray
    from ray import serve

    ray.init(address=address, log_to_driver=False)
    try:
        return list(serve.status().applications)
    finally:
        ray.shutdown()
