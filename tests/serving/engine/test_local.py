"""Models of the repository in this process: their shape and the bounds of their batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uvloop
from prometheus_client import CollectorRegistry

from models.backends.warm_up import zeros
from models.repository import ModelRepository
from serving.engine.cores import available
from serving.engine.local import LocalEngine, budget_of
from serving.engine.metrics import EngineMetrics
from serving.settings import Settings


def engine(var: Path, **more: object) -> LocalEngine:
    settings = Settings(var=var, _env_file=None, **more)  # type: ignore[arg-type, call-arg]
    return LocalEngine(settings, EngineMetrics(CollectorRegistry()))


def test_pictures_are_bounded_by_pixels_and_texts_by_tokens(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path, batch_tokens=100, batch_pixels=5_000, _env_file=None)  # type: ignore[call-arg]
    repository = ModelRepository()
    assert budget_of(settings, repository.get("department").manifest) == 100
    assert budget_of(settings, repository.get("cxr_pneumonia").manifest) == 5_000


def test_a_measured_shape_is_kept_and_gives_the_same_answers(tmp_path: Path) -> None:
    entry = ModelRepository().get("acuity_esi")
    row = {k: np.full_like(v, 0.5) for k, v in zeros(entry.manifest).items()}

    async def scenario() -> None:
        plain = engine(tmp_path / "plain", tune=False)
        tuned = engine(tmp_path / "tuned", tune=True)
        for one in (plain, tuned):
            await one.host(entry)
        assert len(plain.workers(entry.identity)) == 1
        mine = await plain.infer(entry.identity, row)
        theirs = await tuned.infer(entry.identity, row)
        for name, value in mine.outputs.items():
            np.testing.assert_allclose(theirs.outputs[name], value, atol=1e-5)
        kept = json.loads((tmp_path / "tuned" / "tuning.json").read_text())
        [shape] = kept.values()
        assert shape["workers"] == len(tuned.workers(entry.identity))
        assert shape["workers"] * shape["threads"] <= len(available())
        for one in (plain, tuned):
            await one.drain()

    uvloop.run(scenario())


@pytest.mark.skipif(len(available()) < 2, reason="needs two processor cores")
def test_workers_that_were_asked_for_are_pinned_apart(tmp_path: Path) -> None:
    entry = ModelRepository().get("acuity_esi")

    async def scenario() -> None:
        one = engine(tmp_path, tune=False, model_workers=2, model_threads=1)
        await one.host(entry)
        first, second = one.workers(entry.identity)
        assert not set(first.cores) & set(second.cores)
        await one.drain()

    uvloop.run(scenario())


def test_workers_that_would_need_more_cores_than_there_are_stop_the_start(tmp_path: Path) -> None:
    entry = ModelRepository().get("acuity_esi")

    async def scenario() -> None:
        with pytest.raises(ValueError, match="cores; there are"):
            await engine(tmp_path, model_workers=999).host(entry)

    uvloop.run(scenario())
