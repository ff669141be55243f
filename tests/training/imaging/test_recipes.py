"""Each way to train runs from a config file to a model that the repository serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.manifest import Manifest
from models.repository import ModelRepository

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
onnx = pytest.importorskip("onnx")

from tests.training.imaging.pictures import (  # noqa: E402
    altered,
    small,
    write_config,
    write_fundus,
    write_gate,
    write_nodules,
    write_skin,
)
from training.imaging import kinds  # noqa: E402
from training.imaging.config import ImagingConfig  # noqa: E402
from training.imaging.fit import build_net  # noqa: E402
from training.imaging.train import train  # noqa: E402

pytestmark = pytest.mark.torch


def trained(config: ImagingConfig, folder: Path) -> Manifest:
    """What `train(..., smoke=True)` leaves for the model repository."""
    train(write_config(config, folder / "c.yaml"), folder, folder / "out", smoke=True)
    entry = ModelRepository(folder / "out", allow_noncommercial=True).get(config.name)
    entry.verify()
    return entry.manifest


def networks(config: ImagingConfig, folder: Path) -> int:
    """How many networks stand side by side in the served file."""
    graph = onnx.load(folder / "out" / config.name / str(config.version) / "model.onnx").graph
    shortest = {"widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 1)}  # as a smoke run takes it
    one = build_net(altered(config, net=altered(config.net, **shortest)))
    layers = sum(isinstance(module, torch.nn.Conv2d) for module in one.modules())
    return sum(node.op_type == "Conv" for node in graph.node) // layers


def checkpoints(config: ImagingConfig, folder: Path) -> set[str]:
    return {path.name for path in (folder / "out" / "checkpoints" / config.name).iterdir()}


def test_folds_serve_all_members_and_report_every_image_once(tmp_path: Path) -> None:
    config = small("fundus_dr", epochs=(2, 2))
    write_fundus(tmp_path / config.data.train, 30)
    manifest = trained(config, tmp_path)
    assert checkpoints(config, tmp_path) == {"member0", "member1"}
    assert [head.code for head in manifest.heads] == ["dme_risk"]
    assert "joint_accuracy" in manifest.metrics["dev"]
    assert networks(config, tmp_path) == 2


def test_a_student_stands_for_its_teachers(tmp_path: Path) -> None:
    config = small("ct_nodule", epochs=(2, 2), distil=2, watched=())
    write_nodules(tmp_path / config.data.train, 24)
    write_nodules(tmp_path / str(config.data.dev), 12, seed=1)
    trained(config, tmp_path)
    assert checkpoints(config, tmp_path) == {"member0", "member1", "student"}
    assert networks(config, tmp_path) == 1


def test_age_sex_and_site_reach_an_efficientnet(tmp_path: Path) -> None:
    config = small("skin_lesion", watched=())
    net = altered(config.net, family="efficientnet_lite0", start="random", frozen=2)
    config = altered(config, net=net)
    write_skin(tmp_path / config.data.train, 56)
    write_skin(tmp_path / str(config.data.dev), 28, seed=1)
    manifest = trained(config, tmp_path)
    assert [(i.name, i.shape[1:]) for i in manifest.inputs] == [
        ("image", [3, 32, 32]),
        ("context", [config.context_width]),
    ]
    assert len(manifest.answer_weights) == 7
    assert np.isfinite(manifest.answer_weights).all()


def test_the_gate_is_trained_and_says_what_it_refuses(tmp_path: Path) -> None:
    config = write_gate(tmp_path)
    path = write_config(config, tmp_path / "gate.yaml")
    metrics = kinds.train(path, tmp_path, tmp_path, tmp_path / "out")
    entry = ModelRepository(tmp_path / "out").get("image_kind")
    entry.verify()
    assert set(metrics) == {"dev/chest_xray", "dev/fundus", "dev/ct_patch"}
    assert 0.0 <= metrics["dev/fundus"]["other/text_refused"] <= 1.0
    again = kinds.train(path, tmp_path, tmp_path, tmp_path / "out", resume=True)
    assert again == metrics
