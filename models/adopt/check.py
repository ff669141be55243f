"""Is this folder a model that the server can host? Read before anything of it is installed.

The manifest must be valid and name every file with its sha256; the network must be one file that
loads, takes a row of the declared shapes and returns the declared shapes; and the manifest must
fit the task, so that an unknown scheme or a miscounted label is found now and not at a patient.

An ONNX graph is data: it runs operators of ONNX Runtime and no code of its maker's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from models.adopt.guard import check_guarded
from models.errors import ModelError, ModelRefused
from models.imaging.context import WIDTH as CONTEXT_WIDTH
from models.imaging.preprocess import PreprocessSpec
from models.manifest import MANIFEST_FILE, Label, LabelGroup, Manifest, TensorSpec, read_manifest
from models.repository import CARD, ModelEntry
from models.tasks.embedding import EmbeddingTask

NETWORK = "model.onnx"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_BESIDE = (".json", ".md", ".npz", ".txt", ".yaml")
_MAX_MANIFEST_BYTES = 20_000_000
_DYNAMIC = 8
_DTYPES: Mapping[str, str] = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(uint8)": "uint8", "tensor(bool)": "bool",
}  # fmt: skip
_ANY_NAME = frozenset({"acuity", "image_kind", "imaging"})
"""Tasks with several models. A model of any other task is only ever found under its task's name."""


def check_folder(folder: Path) -> Manifest:
    """The manifest of a folder that is fit to be added; raises ModelRefused saying why not."""
    manifest = _manifest(folder)
    _files(folder, manifest)
    try:
        ModelEntry(manifest, folder).verify()
    except ModelError as error:
        raise ModelRefused(str(error)) from error
    _network(folder / NETWORK, manifest)
    _task(folder, manifest)
    return manifest


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    if not folder.is_dir():
        raise ModelRefused(f"{folder.name} is no folder and no .zip or .tar.gz of one")
    if not path.is_file() or path.is_symlink():
        raise ModelRefused(f"there is no {MANIFEST_FILE} in {folder.name}")
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise ModelRefused(f"{MANIFEST_FILE} is too large")
    try:
        return read_manifest(folder)
    except ValidationError as error:
        raise ModelRefused(f"{MANIFEST_FILE}: {wrong_fields(error)}") from error
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{MANIFEST_FILE} is not UTF-8") from error


def wrong_fields(error: ValidationError) -> str:
    """The first ten fields that are wrong, and why; the values stay out of it."""
    found = error.errors(include_input=False)[:10]
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)


def _files(folder: Path, manifest: Manifest) -> None:
    """Exactly the listed plain files, with names that stay inside of the folder."""
    for name in manifest.files:
        fine = name == NETWORK or (name.endswith(_BESIDE) and name != MANIFEST_FILE)
        if not (_NAME.match(name) and fine):
            raise ModelRefused(f"{MANIFEST_FILE} lists {name!r}, which is no file of a model")
    if NETWORK not in manifest.files:
        raise ModelRefused(f"{MANIFEST_FILE} lists no {NETWORK}")
    if not (folder / CARD).is_file():
        raise ModelRefused(f"there is no {CARD}: what is the model for, and what not?")
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            raise ModelRefused(f"{path.name}: not a plain file")
        if path.name not in (*manifest.files, MANIFEST_FILE, CARD):
            raise ModelRefused(
                f"{path.name}: not in the manifest (weights must be inside of {NETWORK})"
            )


def _network(path: Path, manifest: Manifest) -> None:
    """The network runs on a row of zeros and is what the manifest says of it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        # From bytes, so that no tensor can name another file as the place of its weights.
        session = ort.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelRefused(f"{NETWORK} does not load: {_short(error)}") from error
    _declared("input", manifest.inputs, session.get_inputs())
    _declared("output", manifest.outputs, session.get_outputs())
    row = {
        s.name: np.zeros([1, *(_DYNAMIC if n < 0 else n for n in s.shape[1:])], dtype=s.dtype)
        for s in manifest.inputs
    }
    try:
        found: list[NDArray[np.generic]] = session.run([s.name for s in manifest.outputs], row)
    except Exception as error:
        raise ModelRefused(f"{NETWORK} fails on a row of zeros: {_short(error)}") from error
    for spec, value in zip(manifest.outputs, found, strict=True):
        fits = len(value.shape) == len(spec.shape) and value.shape[0] == 1
        if not fits or any(d not in (-1, n) for d, n in zip(spec.shape, value.shape, strict=True)):
            raise ModelRefused(f"output {spec.name} is {value.shape}, declared {spec.shape}")
        # A row of zeros is a black picture, but a text of padding alone, of which nothing is asked.
        pictured = manifest.task in ("imaging", "image_kind")
        if pictured and not np.isfinite(value).all():
            raise ModelRefused(f"output {spec.name} is not finite on a row of zeros")


def _declared(what: str, specs: Sequence[TensorSpec], found: Sequence[ort.NodeArg]) -> None:
    names, declared = [n.name for n in found], [s.name for s in specs]
    if sorted(names) != sorted(declared):
        raise ModelRefused(f"{NETWORK} has the {what}s {names}, the manifest {declared}")
    types = {n.name: _DTYPES.get(n.type, n.type) for n in found}
    for spec in specs:
        if types[spec.name] != spec.dtype:
            raise ModelRefused(f"{what} {spec.name} is {types[spec.name]}, declared {spec.dtype}")
        if not spec.shape or spec.shape[0] != -1:
            raise ModelRefused(f"axis 0 of {what} {spec.name} is the batch: its size must be -1")


def _task(folder: Path, manifest: Manifest) -> None:
    """What each task needs beyond a sound folder."""
    if manifest.backend != "onnxruntime":
        raise ModelRefused(f"an added model is run by ONNX Runtime, not by {manifest.backend}")
    if manifest.task not in _ANY_NAME and manifest.name != manifest.task:
        raise ModelRefused(
            f"a model of task {manifest.task} is found under that name only, not {manifest.name}"
        )
    if not manifest.training_sets:
        raise ModelRefused("the manifest names no training set")
    if manifest.task == "imaging":
        _imaging(manifest)
        check_guarded(manifest)
    if manifest.task == "embedding":
        try:
            EmbeddingTask(manifest, folder).prepare("头痛 headache")
        except (KeyError, ValueError, OSError) as error:
            raise ModelRefused(f"no text can be read with this manifest: {error!r}") from error


def _imaging(manifest: Manifest) -> None:
    unknown = set(manifest.preprocessing) - set(PreprocessSpec.__dataclass_fields__)
    if unknown:
        raise ModelRefused(f"unknown preprocessing: {', '.join(sorted(unknown))}")
    try:
        spec = TypeAdapter(PreprocessSpec).validate_python(manifest.preprocessing)
    except ValidationError as error:
        raise ModelRefused(f"preprocessing: {error.errors()[0]['msg']}") from error
    made = {"image": [-1, spec.channels, spec.size, spec.size], "context": [-1, CONTEXT_WIDTH]}
    for given in manifest.inputs:
        if given.shape != made.get(given.name) or given.dtype != "float32":
            raise ModelRefused(f"the server makes {made}, not {given.name} {given.shape}")
    widths = {spec.name: spec.shape for spec in manifest.outputs}
    for needed in ("logits", "features", "saliency"):
        if needed not in widths:
            raise ModelRefused(f"an imaging model has an output {needed}")
    heads = [("logits", manifest.labels, manifest.groups, manifest.thresholds)]
    heads += [(h.output, h.labels, h.groups, h.thresholds) for h in manifest.heads]
    for output, labels, groups, thresholds in heads:
        if widths.get(output) != [-1, len(labels)] or len(labels) < 2:
            shape = widths.get(output)
            raise ModelRefused(f"{len(labels)} labels for the output {output} of shape {shape}")
        _codes(output, labels, groups, thresholds)


def _codes(
    output: str,
    labels: Sequence[Label],
    groups: Sequence[LabelGroup],
    thresholds: Mapping[str, float],
) -> None:
    codes = [label.code for label in labels]
    if len(set(codes)) != len(codes):
        raise ModelRefused(f"a label of {output} is there twice")
    for group in groups:
        if not set(group.labels) <= set(codes):
            raise ModelRefused(f"group {group.code} of {output} holds an unknown label")
    for code, value in thresholds.items():
        if code not in codes and code not in {g.code for g in groups}:
            raise ModelRefused(f"threshold of {output} for the unknown label {code}")
        if not 0.0 < value < 1.0:
            raise ModelRefused(f"threshold {code} of {output} is not a probability")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
