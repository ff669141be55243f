"""The trainer of the dialogue status on a few dialogues: what ships computes what was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from models.backends.onnx import OnnxBackend
from models.errors import ModelIntegrityError
from models.repository import ModelRepository
from models.tasks.dialogue_status import DialogueStatusTask, statuses
from training.text.dialogue_data import read_dialogues
from training.text.train_dialogue_status import fit, held_out, pairs, read_config, train

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "training" / "configs" / "dialogue_status.yaml"
pytestmark = pytest.mark.torch


@pytest.mark.data
@pytest.mark.slow
def test_a_trained_model_is_whole_and_answers(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "dialogue_status" / "1"
    metrics = train(CONFIG, data_dir, out, smoke=True)
    assert 0.4 < metrics["cross-validation"]["f1"] < 1
    entry = ModelRepository(tmp_path).get("dialogue_status")
    assert entry.manifest.parity["torch_onnx_max_abs"] < 1e-3
    assert entry.manifest.parity["batch_invariance_max_abs"] < 1e-4
    assert entry.manifest.licence_notes  # its set states no licence
    task = DialogueStatusTask(entry.manifest)
    found = statuses(task, OnnxBackend(entry.network), ["患者:胸闷气短一个月了"])
    assert ("胸闷", "present") in found


def test_other_features_than_the_learned_ones_are_refused() -> None:
    manifest = ModelRepository().get("dialogue_status").manifest
    other = manifest.model_copy(update={"preprocessing": {"features_digest": 1}})
    with pytest.raises(ModelIntegrityError, match="train it again"):
        DialogueStatusTask(other)


@pytest.mark.data
def test_a_dialogue_is_answered_by_a_model_that_did_not_see_it(data_dir: Path) -> None:
    config = read_config(CONFIG).model_copy(update={"folds": 2})
    data = read_dialogues(data_dir, config.set, limit=8)
    held = held_out(data, config, 0, lambda: None)
    seen = fit(data.rows, data.labels, config)(data.rows).argmax(axis=1)
    assert np.mean(seen == data.labels) > np.mean(held == data.labels)
    assert len(pairs(data, held)) == len(data.windows)
