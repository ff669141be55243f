"""The imaging trainer on a few drawn images: it runs to the end, goes on, and exports the truth."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import calibration
from models.manifest import read_manifest
from models.repository import ModelRepository

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from models.backends.onnx import OnnxBackend  # noqa: E402
from models.backends.opening import open_backend  # noqa: E402
from models.backends.options import BackendOptions  # noqa: E402
from models.imaging.preprocess import PreprocessSpec  # noqa: E402
from training.imaging import calibrate, export  # noqa: E402
from training.imaging.config import NetConfig, read_config  # noqa: E402
from training.imaging.data import folds_by_group, read_set, split_by_group  # noqa: E402
from training.imaging.net import SalientNet  # noqa: E402
from training.imaging.saliency import blank_centre, central_share  # noqa: E402
from training.imaging.train import train  # noqa: E402

pytestmark = pytest.mark.torch
CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"
CONFIG = CONFIGS / "cxr_pneumonia.yaml"


def draw(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A bright middle between two dark ovals; `pneumonia` fills one of them."""
    y, x = np.mgrid[0:96, 0:96] / 96
    image = np.full((96, 96), 140.0)
    for centre in (0.26, 0.74):
        image[((x - centre) / 0.16) ** 2 + ((y - 0.45) / 0.3) ** 2 < 1] = 60.0
    if kind == "pneumonia":
        centre = rng.choice([0.26, 0.74])
        image[((x - centre) / 0.12) ** 2 + ((y - 0.5) / 0.2) ** 2 < 1] = 150.0
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def write_zip(path: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["file", "label", "kind", "patient"])
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            label = ("normal", "pneumonia")[i % 2]
            buffer = io.BytesIO()
            Image.fromarray(draw(label, rng)).save(buffer, format="PNG")
            archive.writestr(f"images/{i}.png", buffer.getvalue())
            kind = ("normal", ("viral", "bacterial")[i // 2 % 2])[i % 2]
            writer.writerow([f"{i}.png", label, kind, f"p{i // 4}-{label}"])
        archive.writestr("labels.csv", table.getvalue())


@pytest.fixture(scope="module")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "imaging").mkdir()
    write_zip(folder / "imaging" / "cxr_pneumonia.train.zip", 40, seed=1)
    write_zip(folder / "imaging" / "cxr_pneumonia.dev.zip", 16, seed=2)
    return folder


@pytest.fixture(scope="module")
def trained(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    metrics = train(CONFIG, drawn_set, out, smoke=True, torch_program=True)
    assert 0.0 <= metrics["dev"]["auc"] <= 1.0
    assert "dev/portable" in metrics
    assert "dev/head/kind" in metrics
    return out


def test_what_is_written_is_a_model_the_repository_serves(trained: Path) -> None:
    entry = ModelRepository(trained).get("cxr_pneumonia")
    entry.verify()
    assert entry.manifest.labels[1].code == "pneumonia"
    for heading in ("Intended use", "Population", "Stress", "Saliency sanity", "Ethical"):
        assert f"## {heading}" in entry.card
    assert "CC-BY-4.0" in entry.card
    assert entry.manifest.population.max_age_years == 5


def test_the_torch_program_beside_it_answers_as_the_file_does(trained: Path) -> None:
    entry = ModelRepository(trained).get("cxr_pneumonia")
    torch_backend = open_backend(entry, BackendOptions(backend="torch"), threads=1)
    images = np.random.default_rng(2).normal(size=(3, *entry.manifest.inputs[0].shape[1:]))
    wanted = OnnxBackend(entry.network).run({"image": images.astype(np.float32)})
    found = torch_backend.run({"image": images.astype(np.float32)})
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, rtol=1e-4)


def test_the_network_answers_the_same_alone_and_in_company(trained: Path) -> None:
    folder = trained / "cxr_pneumonia" / "2"
    manifest = read_manifest(folder)
    backend = OnnxBackend(folder / "model.onnx")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(5, *manifest.inputs[0].shape[1:])).astype(np.float32)
    together = backend.run({"image": images})
    alone = backend.run({"image": images[2:3]})
    for output in manifest.outputs:
        assert list(together[output.name].shape[1:]) == output.shape[1:]
        np.testing.assert_allclose(together[output.name][2:3], alone[output.name], atol=1e-5)


def test_the_mean_of_the_saliency_is_the_margin_of_the_logits(trained: Path) -> None:
    backend = OnnxBackend(trained / "cxr_pneumonia" / "2" / "model.onnx")
    out = backend.run({"image": np.random.default_rng(1).normal(size=(3, 1, 128, 128)).astype("f")})
    np.testing.assert_allclose(out["saliency"].mean(axis=(2, 3)), out["logits"], atol=2e-3)


def test_two_members_are_averaged_inside_the_graph(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = NetConfig(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1))
    members = [SalientNet(small, [2, 2], PreprocessSpec()).eval() for _ in range(2)]
    path = tmp_path / "pair.onnx"
    export.export_onnx(export.ServedNet(members), read_config(CONFIG), path)
    image = np.random.default_rng(0).normal(size=(2, 1, 128, 128)).astype(np.float32)
    with torch.inference_mode():
        logits = [member(torch.from_numpy(image)).logits[0].numpy() for member in members]
    served = OnnxBackend(path).run({"image": image})
    # Weights are stored in eight bits: logits of a tiny network move by a few hundredths.
    np.testing.assert_allclose(served["logits"], (logits[0] + logits[1]) / 2, atol=0.06)
    assert served["features"].shape == (2, 16)


def test_no_patient_is_on_both_sides_and_each_class_is_held_out(drawn_set: Path) -> None:
    data = read_set(drawn_set / "imaging" / "cxr_pneumonia.train.zip", read_config(CONFIG))
    rows, held = split_by_group(data.first, data.groups, 0.3, seed=0)
    assert sorted([*rows, *held]) == list(range(len(data)))
    assert not {data.groups[i] for i in rows} & {data.groups[i] for i in held}
    assert set(data.first[held]) == {0, 1}


def test_folds_keep_patients_whole_and_spread_every_class(drawn_set: Path) -> None:
    data = read_set(drawn_set / "imaging" / "cxr_pneumonia.train.zip", read_config(CONFIG))
    fold = folds_by_group(data.first, data.groups, 4, seed=3)
    for patient in set(data.groups):
        assert len({int(f) for f, g in zip(fold, data.groups, strict=True) if g == patient}) == 1
    assert all(set(data.first[fold == f]) == {0, 1} for f in range(4))


def test_an_unknown_label_is_an_error(drawn_set: Path) -> None:
    config = read_config(CONFIG)
    head = config.first.model_copy(update={"values": ("normal", "tumour")})
    altered = config.model_copy(update={"heads": (head,)})
    with pytest.raises(ValueError, match="pneumonia"):
        read_set(drawn_set / "imaging" / "cxr_pneumonia.train.zip", altered)


def test_the_threshold_lies_between_what_the_worst_views_allow() -> None:
    positive = np.array([False] * 50 + [True] * 50)
    low, high = np.linspace(0.0, 0.2, 50), np.linspace(0.6, 1.0, 50)
    views = {"a": np.concatenate([low, high]), "b": np.concatenate([low + 0.1, high - 0.1])}
    chosen = calibrate.choose_threshold(
        views, positive, min_sensitivity=0.98, min_specificity=0.9, lean=0.5
    )
    assert 0.28 < chosen < 0.52
    eager = calibrate.choose_threshold(
        views, positive, min_sensitivity=0.98, min_specificity=0.9, lean=1.0
    )
    assert eager > chosen


def test_scaling_finds_scale_and_shift_of_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    honest = np.stack([np.zeros(8000), rng.normal(0, 2, 8000)], axis=1)
    labels = (rng.random(8000) < 1 / (1 + np.exp(-honest[:, 1]))).astype(np.int64)
    temperature, bias = calibrate.fit_scaling(3.0 * honest - np.array([0.0, 1.5]), labels)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert bias[1] - bias[0] == pytest.approx(1.5, abs=0.25)


def test_scaling_gives_every_class_its_share_again() -> None:
    rng = np.random.default_rng(1)
    labels = rng.choice(3, size=6000, p=[0.8, 0.15, 0.05])
    logits = rng.normal(size=(6000, 3)) + 1.5 * np.eye(3)[labels]
    temperature, bias = calibrate.fit_scaling(logits, labels)
    means = calibration.softmax((logits + bias) / temperature).mean(axis=0)
    np.testing.assert_allclose(means, np.bincount(labels) / 6000, atol=0.01)


def test_scaling_of_separable_logits_stays_finite() -> None:
    logits = np.array([[2.0, 0], [1, 0], [0, 1], [0, 2]])
    temperature, bias = calibrate.fit_scaling(logits, np.array([0, 0, 1, 1]))
    assert 0 < temperature < 10
    assert np.abs(bias).max() < 5


def test_conformal_sets_cover_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(6000)
    labels = (rng.random(6000) < p).astype(np.int64)
    probabilities = np.stack([1 - p, p], axis=1)
    quantile = calibrate.conformal_quantile([probabilities[:3000]], labels[:3000], 0.9)
    inside = 1 - probabilities[np.arange(3000, 6000), labels[3000:]] <= quantile
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(("count", "rank"), [(9, 9), (10, 10), (19, 18), (99, 90), (100, 91)])
def test_the_conformal_quantile_is_a_rank_among_images_however_often_each_is_seen(
    count: int, rank: int
) -> None:
    """ceil((n + 1) 0.9), at most n: the k-th smallest of n scores, or of each seen three times."""
    scores = np.random.default_rng(count).permutation(np.arange(1, count + 1)) / (count + 1)
    view = np.stack([1 - scores, scores], axis=1)
    labels = np.zeros(count, dtype=np.int64)
    wanted = pytest.approx(rank / (count + 1))
    assert calibrate.conformal_quantile([view], labels, 0.9) == wanted
    assert calibrate.conformal_quantile([view] * 3, labels, 0.9) == wanted


def test_distance_tells_strangers_from_the_crowd() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.normal(size=(500, 6)) * np.array([5, 1, 1, 0.5, 0.1, 1])
    mean, precision = calibrate.fit_gaussian(crowd)
    usual = calibration.mahalanobis(crowd, mean, precision)
    stranger = calibration.mahalanobis(np.array([[0, 0, 0, 0, 5.0, 0]]), mean, precision)
    assert usual.mean() == pytest.approx(6, abs=0.7)
    assert stranger[0] > usual.max()


def test_saliency_helpers_measure_the_middle() -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 4, 4], maps[0, 0, 0] = 3.0, 1.0
    assert central_share(maps) == pytest.approx(0.75)
    blanked = blank_centre(np.ones((1, 1, 8, 8), np.float32))
    assert blanked.sum() == 64 - 36
