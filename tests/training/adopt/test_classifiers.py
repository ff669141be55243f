"""A DenseNet and a MONAI bundle become folders that the server can host, or are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from torch import nn  # noqa: E402

from models.adopt.check import check_folder  # noqa: E402
from models.backends.onnx import OnnxBackend  # noqa: E402
from models.calibration import softmax  # noqa: E402
from models.errors import ModelRefused  # noqa: E402
from models.imaging.preprocess import PreprocessSpec, preprocess  # noqa: E402
from models.manifest import Manifest  # noqa: E402
from tests.training.adopt.layouts import (  # noqa: E402
    BUNDLE_ABOUT,
    SIZE,
    densenet,
    save_bundle,
    save_torchxrayvision,
    write_about,
)
from training.adopt.make import Kind, make_folder  # noqa: E402
from training.adopt.network import find_ending  # noqa: E402

pytestmark = pytest.mark.torch
LIMIT = 50_000_000


def made(kind: Kind, source: Path, **fields: Any) -> tuple[Manifest, Path]:
    """The checked folder of the model at `source`."""
    folder = source.parent / "made"
    folder.mkdir(exist_ok=True)
    make_folder(kind, source, write_about(source.parent, **fields), folder, LIMIT)
    return check_folder(folder), folder


def picture(channels: int) -> np.ndarray:
    """A picture of the served size, so that no resampling comes between."""
    rng = np.random.default_rng(4)
    shape = (SIZE, SIZE) if channels == 1 else (SIZE, SIZE, channels)
    return rng.integers(0, 256, shape, dtype=np.uint8)


def served(manifest: Manifest, folder: Path, pixels: np.ndarray) -> dict[str, Any]:
    """The outputs for a picture, the way that the server computes them."""
    spec = PreprocessSpec(**manifest.preprocessing)  # type: ignore[arg-type]
    return OnnxBackend(folder / "model.onnx").run({"image": preprocess(pixels, spec)[None]})


def test_a_torchxrayvision_network_answers_as_its_maker_would_have_it(tmp_path: Path) -> None:
    net = save_torchxrayvision(tmp_path / "x.pt", legacy=False)
    manifest, folder = made("densenet", tmp_path / "x.pt")
    pixels = picture(1)
    given = torch.tensor((2 * (pixels / 255.0) - 1) * 1024).float()[None, None]
    with torch.inference_mode():
        expected = torch.sigmoid(net(given))[0].numpy()
    outputs = served(manifest, folder, pixels)
    assert softmax(outputs["logits"])[0, 1] == pytest.approx(expected[1], abs=1e-4)
    assert softmax(outputs["logits_effusion"])[0, 1] == pytest.approx(expected[0], abs=1e-4)
    assert manifest.thresholds == {"pneumonia": pytest.approx(0.05)}
    [head] = manifest.heads
    assert (head.code, head.thresholds) == ("effusion", {"effusion": pytest.approx(0.2)})
    assert [label.code for label in manifest.labels] == ["no_pneumonia", "pneumonia"]


def test_the_saliency_map_is_the_answer_spread_over_the_picture(tmp_path: Path) -> None:
    save_torchxrayvision(tmp_path / "x.pt", legacy=False)
    manifest, folder = made("densenet", tmp_path / "x.pt")
    outputs = served(manifest, folder, picture(1))
    assert outputs["saliency"].shape == (1, SIZE // 32, SIZE // 32)
    assert outputs["saliency"].mean() == pytest.approx(outputs["logits"][0, 1], abs=1e-4)


def test_a_torchvision_network_of_colour_pictures_gets_imagenets_scaling(tmp_path: Path) -> None:
    net = densenet(channels=3, outputs=2)
    torch.save(net.state_dict(), tmp_path / "x.pth")
    manifest, folder = made("densenet", tmp_path / "x.pth", **BUNDLE_ABOUT)
    pixels = picture(3)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = ((torch.tensor(pixels / 255.0).float() - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = torch.softmax(net(given), dim=1)[0].numpy()
    outputs = served(manifest, folder, pixels)
    np.testing.assert_allclose(softmax(outputs["logits"])[0], expected, atol=1e-4)
    means = outputs["saliency"].mean(axis=(2, 3))
    np.testing.assert_allclose(means, outputs["logits"], atol=1e-4)


def test_a_grey_picture_can_feed_a_network_of_three_channels(tmp_path: Path) -> None:
    torch.save(densenet(channels=3, outputs=2).state_dict(), tmp_path / "x.pth")
    image = {"size": SIZE, "scaling": "imagenet", "colour": "grey"}
    manifest, _ = made("densenet", tmp_path / "x.pth", **BUNDLE_ABOUT | {"image": image})
    assert manifest.inputs[0].shape == [-1, 1, SIZE, SIZE]


def test_the_manifest_says_what_was_not_measured_and_the_card_what_it_is_for(
    tmp_path: Path,
) -> None:
    save_torchxrayvision(tmp_path / "x.pt", legacy=False)
    manifest, folder = made("densenet", tmp_path / "x.pt", intended_use="Adults, frontal views.")
    assert any("never abstains" in note for note in manifest.notes)
    assert manifest.parity["torch_onnx_max_abs_logits"] < 1e-3
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Adults, frontal views." in card
    assert "Nobody has stated any figure" in card


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"labels": [{"code": "pneumonia", "zh": "肺炎", "en": "Pneumonia"}]}, "1 labels"),
        ({"labels": [
            {"code": "pneumonia", "zh": "肺炎", "en": "Pneumonia"},
            {"code": "effusion", "zh": "积液", "en": "Effusion"}, None,
        ]}, "output 1 is 'Effusion' in the checkpoint"),
        ({"primary": "fracture"}, "primary fracture"),
        ({"thresholds": {"pneumonia": 1.5}}, "threshold pneumonia"),
        ({"training_sets": []}, "training_sets"),
        ({"population": {"min_age_years": 18}}, "population.image_kind"),
        ({"image": {"size": SIZE, "scaling": "imagenet"}}, "scales 3 channels"),
        ({"image": {"size": SIZE, "scaling": "unit", "colour": "rgb"}}, "takes one channel"),
        ({"image": {"size": SIZE, "scaling": "magic"}}, "image.scaling"),
        ({"title": {"en": "Only English"}}, "title"),
        ({"surprise": 1}, "surprise"),
    ],
)  # fmt: skip
def test_what_the_owner_says_must_be_whole_and_agree_with_the_checkpoint(
    tmp_path: Path, fields: dict[str, Any], why: str
) -> None:
    save_torchxrayvision(tmp_path / "x.pt", legacy=False)
    with pytest.raises(ModelRefused, match=why):
        made("densenet", tmp_path / "x.pt", **fields)


@pytest.mark.parametrize("script", [False, True], ids=["model.pt", "model.ts"])
def test_a_monai_bundle_answers_as_its_network_does(tmp_path: Path, script: bool) -> None:
    net = save_bundle(tmp_path / "bundle", script=script)
    manifest, folder = made("monai-bundle", tmp_path / "bundle", **BUNDLE_ABOUT)
    pixels = picture(3)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = ((torch.tensor(pixels / 255.0).float() - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = net(given)[0].numpy()
    np.testing.assert_allclose(served(manifest, folder, pixels)["logits"][0], expected, atol=1e-3)
    assert any("0.3.1" in note for note in manifest.notes)


def test_the_intended_use_is_the_bundles_where_the_owner_says_none(tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle")
    path = write_about(tmp_path, **BUNDLE_ABOUT)
    text = path.read_text(encoding="utf-8").replace("intended_use: A test.\n", "")
    path.write_text(text, encoding="utf-8")
    (tmp_path / "made").mkdir()
    make_folder("monai-bundle", tmp_path / "bundle", path, tmp_path / "made", LIMIT)
    assert "To be tested." in (tmp_path / "made" / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ({"_target_": "os.system"}, "none that is read"),
        ({"_target_": "subprocess.Popen", "args": "id"}, "none that is read"),
        ({"_target_": "monai.networks.nets.UNet"}, "none that is read"),
        ({"_target_": "monai.networks.nets.densenet.os.system"}, "none that is read"),
        ({"out_channels": "$__import__('os').mkdir('{mark}')"}, "would have to be run"),
        ({"out_channels": "%other.yaml::x"}, "would have to be run"),
        ({"act": {"_target_": "os.mkdir", "path": "{mark}"}}, "makes a 'os.mkdir'"),
        ({"_mode_": "partial"}, "uses _mode_"),
        ({"_requires_": "$import os"}, "uses _requires_"),
        ({"out_channels": "@network_def::out_channels"}, "circle"),
        ({"out_channels": "@nothing"}, "nothing called"),
        ({"growth_rate": 10**9}, "the number"),
        ({"growth_rate": 8}, "don't fit"),
        ({"spatial_dims": 3}, "don't fit"),
        ({"unknown": 3}, "don't fit"),
    ],
)
def test_a_bundles_program_is_not_run(tmp_path: Path, network: dict[str, Any], why: str) -> None:
    mark = tmp_path / "it ran"
    filled = json.loads(json.dumps(network).replace("{mark}", str(mark)))
    save_bundle(tmp_path / "bundle", **filled)
    with pytest.raises(ModelRefused, match=why):
        made("monai-bundle", tmp_path / "bundle", **BUNDLE_ABOUT)
    assert not mark.exists()


def test_a_bundle_that_disagrees_with_its_owner_is_refused(tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle")
    swapped = BUNDLE_ABOUT | {"labels": BUNDLE_ABOUT["labels"][::-1]}
    with pytest.raises(ModelRefused, match="output 1 is 'low'"):
        made("monai-bundle", tmp_path / "bundle", **swapped)
    larger = BUNDLE_ABOUT | {"image": BUNDLE_ABOUT["image"] | {"size": 2 * SIZE}}
    with pytest.raises(ModelRefused, match="128 pixels"):
        made("monai-bundle", tmp_path / "bundle", **larger)


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("configs/metadata.json", "metadata"),
        ("configs/inference.json", "inference"),
        ("models/model.pt", "model.pt"),
    ],
)
def test_a_bundle_that_lacks_a_part_is_refused_by_name(
    tmp_path: Path, missing: str, why: str
) -> None:
    save_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / missing).unlink()
    with pytest.raises(ModelRefused, match=why):
        made("monai-bundle", tmp_path / "bundle", **BUNDLE_ABOUT)


def test_a_network_that_could_not_show_where_it_looked_is_refused() -> None:
    flat = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 62 * 62, 2))
    with pytest.raises(ModelRefused, match="global average pooling"):
        find_ending(flat.eval(), 1, SIZE)
    bent = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2), nn.Sigmoid()
    )
    with pytest.raises(ModelRefused, match="global average pooling"):
        find_ending(bent.eval(), 1, SIZE)


@pytest.mark.parametrize("name", ["resnet18", "EfficientNetBN", "SEResNet50"])
def test_other_classifiers_of_monai_end_as_they_must(name: str) -> None:
    from monai.networks import nets

    arguments: dict[str, Any] = {
        "resnet18": {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 2},
        "EfficientNetBN": {
            "model_name": "efficientnet-b0", "spatial_dims": 2, "in_channels": 1,
            "num_classes": 2, "pretrained": False,
        },
        "SEResNet50": {"spatial_dims": 2, "in_channels": 1, "num_classes": 2},
    }[name]  # fmt: skip
    net = getattr(nets, name)(**arguments).eval()
    assert find_ending(net, 1, SIZE).linear.out_features == 2
