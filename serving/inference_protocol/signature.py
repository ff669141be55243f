"""What one version of a model takes and gives, in the protocol's words. Made once per version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.manifest import Manifest, TensorSpec
from models.repository import ModelEntry
from serving.inference_protocol.axes import input_axes
from serving.inference_protocol.datatypes import NAMES

DYNAMIC = -1


@dataclass(frozen=True)
class TensorSignature:
    """An input or output. `shape` counts the rows on axis 0; `DYNAMIC` is any length.

    `labels` are the codes of a row's elements, where these are classes.
    """

    name: str
    datatype: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """`agreeing`: groups of (input, axis) that must have one length in a request."""

    entry: ModelEntry
    identity: str
    name: str
    version: str
    inputs: Mapping[str, TensorSignature]
    outputs: Mapping[str, TensorSignature]
    agreeing: tuple[tuple[tuple[str, int], ...], ...]


class Signatures:
    """The signatures of hosted versions, made when they are first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Signature] = {}

    def of(self, entry: ModelEntry) -> Signature:
        """The signature of exactly this entry: a version that was reloaded gets a new one."""
        identity = entry.identity
        made = self._made.get(identity)
        if made is None or made.entry is not entry:
            made = self._made[identity] = signature(entry)
        return made


def signature(entry: ModelEntry) -> Signature:
    """Of a version; reads its manifest, and the axes' names from its ONNX file."""
    manifest = entry.manifest
    return Signature(
        entry=entry,
        identity=entry.identity,
        name=manifest.name,
        version=str(manifest.version),
        inputs={spec.name: _tensor(spec) for spec in manifest.inputs},
        outputs={spec.name: _tensor(spec, _labels(manifest, spec)) for spec in manifest.outputs},
        agreeing=_agreeing(entry),
    )


def _tensor(spec: TensorSpec, labels: tuple[str, ...] = ()) -> TensorSignature:
    dtype = np.dtype(spec.dtype)
    return TensorSignature(spec.name, NAMES[dtype], dtype, tuple(spec.shape), labels)


def _labels(manifest: Manifest, spec: TensorSpec) -> tuple[str, ...]:
    """The first output's labels are the model's own; a head names the output that it reads."""
    heads = {head.output: head.labels for head in manifest.heads}
    own = manifest.labels if spec is manifest.outputs[0] else []
    codes = tuple(label.code for label in heads.get(spec.name, own))
    return codes if spec.shape[1:] == [len(codes)] else ()


def _agreeing(entry: ModelEntry) -> tuple[tuple[tuple[str, int], ...], ...]:
    try:
        named = input_axes(entry.network)
    except OSError:  # a synthetic model has no file
        named = {}
    groups: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for spec in entry.manifest.inputs:
        names = named.get(spec.name, ())
        for axis, size in enumerate(spec.shape):
            name = names[axis] if axis < len(names) else ""
            if axis == 0:
                groups["rows"].append((spec.name, axis))
            elif size == DYNAMIC and name:
                groups["axis " + name].append((spec.name, axis))
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
