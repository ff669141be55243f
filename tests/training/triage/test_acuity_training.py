"""The acuity trainer end to end on a few rows: the exported file computes what was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from models.manifest import read_manifest
from models.repository import ModelRepository
from models.tasks.acuity import AcuityTask
from training.triage.acuity_config import read_config
from training.triage.acuity_learn import LEVELS
from training.triage.acuity_validate import tune

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "training" / "configs" / "acuity.yaml"
pytestmark = pytest.mark.torch


@pytest.mark.data
@pytest.mark.slow
def test_a_trained_model_is_whole_and_served(data_dir: Path, tmp_path: Path) -> None:
    from training.triage.train_acuity import train

    out = tmp_path / "acuity_esi" / "1"
    metrics = train(CONFIG, data_dir, out, "esi", smoke=True)
    assert 0 < metrics["cross-validation, with floors"]["accuracy"] < 1
    manifest = read_manifest(out)
    assert manifest.parity["learned_onnx_max_abs"] < 1e-4
    assert manifest.parity["batch_invariance_max_abs"] < 1e-5
    assert AcuityTask(ModelRepository(tmp_path).get("acuity_esi").manifest).model == "acuity_esi"


def test_the_cost_keeps_under_triage_within_its_limit_where_it_can() -> None:
    config = read_config(CONFIG)
    rng = np.random.default_rng(1)
    levels = rng.integers(0, LEVELS, 400)
    noisy = np.clip(levels + rng.normal(0, 0.8, 400), 0, LEVELS - 1)
    probabilities = np.exp(-np.abs(np.arange(LEVELS)[None, :] - noisy[:, None]))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    strict = config.models["ktas"].model_copy(update={"most_under": 0.1})
    loose = config.models["ktas"].model_copy(update={"most_under": 1.0})
    assert (
        tune(probabilities, levels, config, strict).under_cost
        > tune(probabilities, levels, config, loose).under_cost
    )
