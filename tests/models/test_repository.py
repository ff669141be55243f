"""The model repository: intact files, right versions, licences kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from models.backends.onnx import OnnxBackend
from models.backends.warm_up import zeros
from models.batching import join, split
from models.errors import ModelIntegrityError, ModelLicenceError, UnknownModel
from models.manifest import Manifest, read_manifest, write_manifest
from models.repository import SHIPPED, ModelRepository

ENTRIES = ModelRepository().entries()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A repository with a copy of the smallest shipped model."""
    source = min((e.folder for e in ENTRIES), key=lambda f: (f / "model.onnx").stat().st_size)
    shutil.copytree(source, tmp_path / source.parent.name / source.name)
    return tmp_path


def change(root: Path, **fields: object) -> None:
    folder = next(root.glob("*/*"))
    manifest = read_manifest(folder).model_copy(update=fields)
    write_manifest(folder, Manifest.model_validate(manifest.model_dump()))


def test_the_shipped_models_are_intact_and_small() -> None:
    assert {e.manifest.name for e in ENTRIES} >= {"department", "embedding", "cxr_pneumonia"}
    for entry in ENTRIES:
        entry.verify()
        assert entry.network.stat().st_size < 12_000_000
        assert entry.manifest.training_sets
        assert entry.manifest.metrics
        assert "## " in entry.card


def test_an_altered_file_refuses_to_load_and_says_which(copied: Path) -> None:
    network = next(copied.glob("*/*/model.onnx"))
    network.write_bytes(network.read_bytes() + b"\0")
    name = next(copied.iterdir()).name
    with pytest.raises(ModelIntegrityError, match=r"model\.onnx: sha256 differs"):
        ModelRepository(copied).get(name)


def test_a_missing_file_is_named(copied: Path) -> None:
    next(copied.glob("*/*/model.onnx")).unlink()
    with pytest.raises(ModelIntegrityError, match="missing"):
        ModelRepository(copied).get(next(copied.iterdir()).name)


def test_the_latest_version_is_served_unless_one_is_pinned(copied: Path) -> None:
    name = next(copied.iterdir()).name
    old = next(copied.glob("*/*"))
    shutil.copytree(old, old.parent / "10")
    write_manifest(old.parent / "10", read_manifest(old).model_copy(update={"version": 10}))
    repository = ModelRepository(copied)
    assert repository.get(name).manifest.version == 10
    assert repository.get(name, 1).manifest.version == 1
    with pytest.raises(UnknownModel):
        repository.get(name, 3)


def test_a_folder_that_lies_about_its_version_is_refused(copied: Path) -> None:
    change(copied, version=7)
    with pytest.raises(ModelIntegrityError, match="differs from its folder"):
        ModelRepository(copied).entries()


def test_weights_from_a_noncommercial_set_need_leave(copied: Path) -> None:
    manifest = read_manifest(next(copied.glob("*/*")))
    forbidden = manifest.training_sets[0].model_copy(update={"commercial_use": "forbidden"})
    change(copied, training_sets=[forbidden])
    with pytest.raises(ModelLicenceError, match="non-commercial"):
        ModelRepository(copied).get(manifest.name)
    assert ModelRepository(copied, allow_noncommercial=True).get(manifest.name)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.manifest.name)
def test_a_patients_answer_does_not_depend_on_who_shares_the_batch(entry) -> None:  # type: ignore[no-untyped-def]
    backend = OnnxBackend(entry.network)
    rng = np.random.default_rng(7)
    rows = []
    for length in (8, 3, 21, 1, 40, *range(2, 13)):
        row = {}
        for name, empty in zeros(entry.manifest).items():
            shape = [length if s == 8 and empty.ndim == 2 else s for s in empty.shape]
            row[name] = (
                rng.integers(1, 1000, shape).astype(empty.dtype)
                if empty.dtype.kind == "i"
                else rng.random(shape).astype(empty.dtype)
            )
        rows.append(row)
    together = split(backend.run(join(rows)), [1] * 16)
    for row, shared in zip(rows, together, strict=True):
        alone = backend.run(row)
        for name, value in alone.items():
            # An output per piece is longer in company: what stands on padding is nobody's.
            own = shared[name][tuple(slice(size) for size in value.shape)]
            np.testing.assert_allclose(value, own, atol=1e-5, rtol=1e-5)


def test_a_card_that_is_gone_is_empty_and_no_failure(copied: Path) -> None:
    next(copied.glob("*/*/MODEL_CARD.md")).unlink()
    [entry] = ModelRepository(copied).entries()
    assert entry.card == ""


def test_the_shipped_folder_is_inside_the_package() -> None:
    assert SHIPPED.is_dir()
