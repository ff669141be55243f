"""Does a task know which pictures are none of its own: measured on sets drawn here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval import foreign
from eval.result import BenchmarkError
from eval.run import run
from tests.eval.files import write_zip

TASK = "ct_nodule"


def noise(seed: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, shape or (64, 64), dtype=np.uint8)


def drawn(path: Path, label: str, *, colour: bool = False) -> Path:
    shape = (64, 64, 3) if colour else (64, 64)
    images = {f"{i}.png": (noise(i, *shape), label) for i in range(3)}
    return write_zip(path, "label", images)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets of three pictures; what is drawn besides is drawn thrice as well."""
    monkeypatch.setattr(foreign, "_DRAWN", 3)
    folder = tmp_path / "imaging"
    folder.mkdir()
    drawn(folder / "ct_nodule.dev.zip", "nodule")
    drawn(folder / "ct_nodule.train.zip", "nodule")
    drawn(folder / "cxr_pneumonia.train.zip", "normal")
    drawn(folder / "garden.zip", "flower", colour=True)
    np.savez(
        folder / "others.npz", images=noise(9, 4, 32, 32, 3),
        sources=np.array(["cats/1", "cats/2", "dogs:1", "dogs:2"]),
    )  # fmt: skip
    return folder


def test_every_foreign_set_is_measured_and_what_is_noise_is_refused(folder: Path) -> None:
    result = run("foreign", folder, task=TASK)
    sets = {"cxr_pneumonia", "garden", "other_cats", "other_dogs"}
    assert {m for m in result.metrics if m.startswith("auroc_")} == {f"auroc_{s}" for s in sets}
    refused = {m for m in result.metrics if m.startswith("refused_")}
    assert refused == {f"refused_{s}" for s in (*sets, "noise", "text", "own")}
    assert result.metrics["refused_noise"] == result.metrics["refused_text"] == 1.0
    assert result.metrics["refused_own"] == 1.0, "here its own set is noise, too"
    assert "3 own pictures" in result.scored.details.data[0]


def test_sets_that_the_model_or_its_gate_learned_from_are_told(folder: Path) -> None:
    told = " ".join(run("foreign", folder, task=TASK).scored.details.warnings)
    assert "image_kind_skin 1 learned from cxr_pneumonia.train" in told
    assert "ct_nodule.dev" not in told
    assert "garden" not in told
    (folder / "ct_nodule.dev.zip").unlink()
    told = " ".join(run("foreign", folder, task=TASK).scored.details.warnings)
    assert "ct_nodule 1 learned from ct_nodule.train" in told


def test_a_folder_without_the_models_own_set_or_a_file_is_told(folder: Path) -> None:
    with pytest.raises(BenchmarkError, match="needs a folder"):
        run("foreign", folder / "garden.zip", task=TASK)
    for path in folder.glob("ct_nodule.*"):
        path.unlink()
    with pytest.raises(BenchmarkError, match="no set named ct_nodule"):
        run("foreign", folder, task=TASK)
