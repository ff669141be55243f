"""Two tiny models with random weights, made by the real exporters: pictures and texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from models.backends import Tensor
from models.imaging.preprocess import PreprocessSpec
from models.manifest import Label, Manifest, TensorSpec, TrainingSet, write_manifest
from models.repository import ModelEntry, sha256_of
from training.export import NETWORK, export_onnx, write_artifact
from training.imaging import export
from training.imaging.config import NetConfig, read_config
from training.imaging.net import SalientNet
from training.text.encoder import Encoder, Shape
from training.text.stored import stored, unfolded
from training.text.text_reader import TextReader
from training.torch_program import add_program

CONFIG = Path(__file__).parents[2] / "training" / "configs" / "cxr_pneumonia.yaml"
LABELS = [Label(code=code, zh=code, en=code) for code in ("a", "b")]
SETS = [
    TrainingSet(name="none", rows=1, licence="CC0-1.0", commercial_use="allowed", source="drawn")
]
LONGEST = 40


def text_model(root: Path) -> ModelEntry:
    """pieces int64 [N, L] to two logits, with its torch program."""
    torch.manual_seed(3)
    encoder = Encoder(Shape(50, 64, 32, 2, 2, 64, LONGEST))
    for table in (encoder.piece, encoder.pair):
        torch.nn.init.normal_(table.weight, std=0.5)
    net = stored(TextReader(encoder, len(LABELS)))
    folder = root / "intent" / "1"
    folder.mkdir(parents=True)
    example = {"pieces": torch.full((2, 5), 3, dtype=torch.int64)}
    export_onnx(net, example, {"logits": (0,)}, folder / NETWORK)
    manifest = Manifest(
        name="intent",
        version=1,
        task="intent",
        title={"zh": "意图", "en": "Intent"},
        inputs=[TensorSpec(name="pieces", dtype="int64", shape=[-1, -1])],
        outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, len(LABELS)])],
        labels=LABELS,
        preprocessing={"longest": LONGEST},
        training_sets=SETS,
        files={},
    )
    write_artifact(folder, manifest, {})
    return ModelEntry(add_program(folder, unfolded(net), example, sentences(24)), folder)


def image_model(root: Path) -> ModelEntry:
    """image float32 [N, 1, 32, 32] to logits, features and saliency, with its torch program."""
    torch.manual_seed(5)
    spec = PreprocessSpec(size=32)
    config = read_config(CONFIG).model_copy(update={"preprocessing": spec})
    config = config.model_copy(update={"heads": config.heads[:1]})
    small = NetConfig(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1))
    net = SalientNet(small, [len(LABELS)], spec).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    served = export.ServedNet([net])
    folder = root / "cxr_pneumonia" / "1"
    folder.mkdir(parents=True)
    export.export_onnx(served, config, folder / NETWORK)
    shapes = {"logits": [-1, 2], "features": [-1, 16], "saliency": [-1, 2, -1, -1]}
    manifest = Manifest(
        name="cxr_pneumonia",
        version=1,
        task="imaging",
        title={"zh": "肺炎", "en": "Pneumonia"},
        inputs=[TensorSpec(name="image", dtype="float32", shape=[-1, 1, 32, 32])],
        outputs=[
            TensorSpec(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()
        ],
        labels=LABELS,
        thresholds={"b": 0.5},
        training_sets=SETS,
        files={NETWORK: sha256_of(folder / NETWORK)},
    )
    write_manifest(folder, manifest)
    example = export.example(config)
    return ModelEntry(
        add_program(folder, export.plain(served), example, pictures(24), dynamic=(0,)), folder
    )


def sentences(count: int, seed: int = 0) -> list[dict[str, Tensor]]:
    """Rows of 1 to 40 pieces."""
    rng = np.random.default_rng(seed)
    return [
        {"pieces": rng.integers(1, 50, (1, int(length)))}
        for length in rng.integers(1, LONGEST + 1, count)
    ]


def pictures(count: int, seed: int = 0) -> list[dict[str, Tensor]]:
    """Rows of one noisy picture."""
    rng = np.random.default_rng(seed)
    return [
        {"image": (rng.normal() + rng.normal(size=(1, 1, 32, 32))).astype(np.float32)}
        for _ in range(count)
    ]


def largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Over all outputs, which must have the same names and shapes."""
    assert set(one) == set(other)
    assert {n: v.shape for n, v in one.items()} == {n: v.shape for n, v in other.items()}
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)
