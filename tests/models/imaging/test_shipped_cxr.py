"""The shipped pneumonia model keeps what its card promises, through the code that serving uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.backends.onnx import OnnxBackend
from models.calibration import softmax
from models.imaging.preprocess import PreprocessSpec
from models.metrics import auc, sensitivity_specificity
from models.repository import ModelEntry, ModelRepository
from training.imaging.card import render
from training.imaging.data import LabelledImages, read_zip
from training.imaging.evaluate import AS_IS, see

VIEWS = [AS_IS, "exposure_up", "exposure_down", "contrast_down", "crop", "rotate_left", "jpeg"]


@pytest.fixture(scope="module")
def entry() -> ModelEntry:
    found = ModelRepository().get("cxr_pneumonia")
    found.verify()
    return found


@pytest.fixture(scope="module")
def backend(entry: ModelEntry) -> OnnxBackend:
    return OnnxBackend(entry.network)


@pytest.fixture(scope="module")
def dev(data_dir: Path) -> LabelledImages:
    return read_zip(data_dir / "imaging" / "cxr_pneumonia.dev.zip", ("normal", "pneumonia"))


def test_the_manifest_says_children_chest_and_the_licence(entry: ModelEntry) -> None:
    manifest = entry.manifest
    assert (manifest.population.min_age_years, manifest.population.max_age_years) == (1, 5)
    assert manifest.population.body_parts == ["CHEST"]
    assert [s.licence for s in manifest.training_sets] == ["CC-BY-4.0"]
    assert entry.network.stat().st_size < 8_000_000
    assert manifest.parity["max_abs_difference_in_batch"] <= 1e-5


def test_the_card_is_what_the_manifest_gives(entry: ModelEntry) -> None:
    assert entry.card == render(entry.manifest)


def test_a_patient_alone_and_in_a_batch_gets_the_same_answer(
    entry: ModelEntry, backend: OnnxBackend
) -> None:
    size = entry.manifest.inputs[0].shape[-1]
    images = np.random.default_rng(0).normal(size=(9, 1, size, size)).astype(np.float32)
    together = backend.run({"image": images})
    alone = backend.run({"image": images[4:5]})
    for name, value in alone.items():
        np.testing.assert_allclose(np.asarray(together[name])[4:5], value, atol=1e-5)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_dev_stays_above_the_floor_in_every_view(
    entry: ModelEntry, backend: OnnxBackend, dev: LabelledImages, view: str
) -> None:
    manifest = entry.manifest
    spec = PreprocessSpec(**manifest.preprocessing)  # type: ignore[arg-type]
    logits = see(backend, dev.images, spec, view).logits
    score = softmax(logits, manifest.calibration.temperature)[:, 1]
    rates = sensitivity_specificity(dev.labels, score, manifest.thresholds["pneumonia"])
    assert auc(dev.labels, score) >= 0.97
    assert rates.sensitivity >= 0.95
    assert rates.specificity >= 0.85
