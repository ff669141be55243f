"""Both trainers run from configuration to a folder that the model repository loads."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from models.backends.onnx import OnnxBackend
from models.repository import ModelRepository
from models.tasks.base import run_alone
from models.tasks.department import DepartmentRequest, DepartmentTask
from models.tasks.embedding import EmbeddingTask
from tests.training.text.conftest import config_of
from training.text import train_department, train_embedding

pytestmark = [pytest.mark.torch, pytest.mark.data, pytest.mark.slow]
CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"


def test_a_small_department_run_ends_in_a_model_that_answers(
    base: Path, data_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "department" / "2"
    metrics = train_department.train(
        config_of("department.yaml", base, tmp_path), data_dir, folder, smoke=True
    )
    # A majority vote reaches .24 on these consults and .43 on the internal ones.
    assert metrics["zh_consult_all.dev cross-validation"]["accuracy"] > 0.35
    assert metrics["zh_consult_internal.dev title and text"]["accuracy"] > 0.8
    entry = ModelRepository(tmp_path).get("department")
    assert entry.manifest.parity["torch_onnx_max_abs"] < 1e-5
    assert entry.manifest.parity["batch_invariance_max_abs"] < 1e-5
    assert {s.name for s in entry.manifest.training_sets} >= {"zh_diseases", "hpo_zh"}
    assert "Prior" in entry.card
    task = DepartmentTask(entry.manifest, entry.folder)
    ranked = run_alone(task, OnnxBackend(entry.network), DepartmentRequest("高血压吃什么药"))
    assert ranked[0].code == "cardiology"


def test_a_small_embedding_run_ends_in_a_model_that_answers(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "embedding" / "1"
    train_embedding.train(CONFIGS / "embedding.yaml", data_dir, folder, smoke=True)
    entry = ModelRepository(tmp_path).get("embedding")
    task = EmbeddingTask(entry.manifest)
    vector = run_alone(task, OnnxBackend(entry.network), "眼睑痉挛")
    assert vector.shape == (task.dimension,)
    assert float(vector @ vector) == pytest.approx(1, abs=1e-4)
    assert not entry.manifest.noncommercial
