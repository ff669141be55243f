"""What `fenzhen models add` calls for a checkpoint: one function, by kind."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from models.errors import ModelRefused
from models.manifest import Manifest
from training.adopt.about import read_about
from training.adopt.bundle import read_bundle
from training.adopt.checkpoint import read_checkpoint
from training.adopt.classifier import write_classifier
from training.adopt.densenet import densenet_of
from training.adopt.text_encoder import write_text_encoder

Kind = Literal["densenet", "monai-bundle", "text-encoder"]


def make_folder(kind: Kind, source: Path, about: Path, folder: Path, max_bytes: int) -> Manifest:
    """Write the model at `source` into the empty `folder` as one of the repository's.

    `source`: a checkpoint for densenet, a folder for the others. Raises ModelRefused.
    """
    if source.is_dir() == (kind == "densenet"):
        raise ModelRefused(
            f"{source.name}: {kind} is {'a file' if source.is_dir() else 'a folder'}"
        )
    if kind == "densenet":
        checkpoint = read_checkpoint(source, max_bytes)
        net = densenet_of(checkpoint.state)
        return write_classifier(
            net, net.features.conv0.in_channels, read_about(about), folder,
            op_threshs=checkpoint.op_threshs, outputs=checkpoint.pathologies,
        )  # fmt: skip
    if kind == "text-encoder":
        return write_text_encoder(source, read_about(about), folder)
    bundle = read_bundle(source, max_bytes)
    stated = read_about(about, bundle.known)
    if bundle.size is not None and stated.image is not None and stated.image.size != bundle.size:
        raise ModelRefused(f"about.yaml says {stated.image.size} pixels, the bundle {bundle.size}")
    return write_classifier(
        bundle.net, bundle.channels, stated, folder, outputs=bundle.outputs, notes=bundle.notes
    )
