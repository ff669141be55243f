"""Signatures to read requests with: of a small model that has everything, and of shipped ones."""

from __future__ import annotations

from pathlib import Path

from models.manifest import Label, Manifest, TensorSpec
from models.repository import ModelEntry, ModelRepository
from serving.inference_protocol.signature import Signature, signature


def shipped(name: str) -> Signature:
    """Of the latest shipped version."""
    return signature(ModelRepository(allow_noncommercial=True).get(name))


def made(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (), labels: int = 0) -> Signature:
    """Of a model that exists in its manifest only."""
    manifest = Manifest(
        name="made",
        version=3,
        task="synthetic",
        title={"zh": "测试", "en": "Test"},
        inputs=list(inputs),
        outputs=list(outputs) or [TensorSpec(name="y", dtype="float32", shape=[-1, -1])],
        labels=[Label(code=f"class_{i}", zh="类", en="class") for i in range(labels)],
        training_sets=[],
        files={},
    )
    return signature(ModelEntry(manifest, Path("/nowhere")))


def floats(name: str = "x", *row: int) -> TensorSpec:
    """An input of numbers, with rows of any length where none is given."""
    return TensorSpec(name=name, dtype="float32", shape=[-1, *(row or (-1,))])
