"""The imaging benchmark with the shipped X-ray model on images drawn here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.result import BenchmarkError
from eval.run import run
from models.imaging.stress import STRESS
from tests.eval.files import write_zip

TASK = "cxr_pneumonia"


def noise(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (160, 160), dtype=np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    labels = ["normal,normal,p1", "pneumonia,viral,p2", "pneumonia,viral,p2", "normal,normal,p3"]
    images = {f"{i}.png": (noise(i), label) for i, label in enumerate(labels)}
    return write_zip(tmp_path / "a.zip", "label,kind,patient", images)


def test_every_image_gets_a_forced_answer_though_none_is_answered(data: Path) -> None:
    result = run("imaging", data, task=TASK)
    assert list(result.metrics) == [
        "auc",
        "accuracy",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "ece",
        "set_coverage",
        "answered",
    ]
    assert not np.isnan(result.metrics["accuracy"])
    assert result.metrics["answered"] == 0.0
    assert "3 patients" in result.scored.details.data[0]
    assert result.scored.models.keys() == {TASK}
    confusion = result.scored.details.confusion
    assert confusion is not None
    assert sum(map(sum, confusion.counts)) == 4


def test_stress_adds_every_transform(data: Path, tmp_path: Path) -> None:
    result = run("imaging", data, task=TASK, stress=True, report=tmp_path / "r.md")
    stress = result.as_json()["stress"]
    assert isinstance(stress, dict)
    assert set(stress) == set(STRESS)
    assert set(stress["portable"]) == set(result.metrics)
    assert "## Under acquisition stress" in (tmp_path / "r.md").read_text(encoding="utf-8")


def test_labels_that_the_model_does_not_know_are_told(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "a.zip", "dx", {"a.png": (noise(0), "mel")})
    with pytest.raises(BenchmarkError, match="no label column holds only labels"):
        run("imaging", data, task=TASK)


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    images = {"a.png": (noise(0), "1"), "b.png": (noise(1), "0")}
    result = run("imaging", write_zip(tmp_path / "a.zip", "label", images), task=TASK)
    assert "1 normal, 1 pneumonia" in result.scored.details.data[0]


def test_an_unknown_or_wrong_model_is_told(data: Path) -> None:
    with pytest.raises(BenchmarkError, match="no model astrology"):
        run("imaging", data, task="astrology")
    with pytest.raises(BenchmarkError, match="department is not an imaging model"):
        run("imaging", data, task="department")
