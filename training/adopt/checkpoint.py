"""Tensors out of a PyTorch checkpoint, without running a word of what came with it.

A state dict is read by PyTorch's own restricted unpickler (`weights_only=True`). A whole pickled
module, as torchxrayvision publishes them, names classes; here each of a short list of known
classes becomes an empty placeholder that holds attributes and can do nothing, so neither the class
nor any function of it runs, and what a placeholder held is read as a state dict. A class or
function outside of the list is refused: the file would need code that nobody here has read.

Before PyTorch 1.6 a module's classes were pickled in a form that the restricted unpickler does not
read. For those files the standard library's unpickler is restricted to the same list.
"""

from __future__ import annotations

import io
import pickle
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from models.adopt.unpack import check_zip_size
from models.errors import ModelRefused

_LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_MAX_ELEMENTS = 1_000_000_000
_MAX_DEPTH = 32
_STATE_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")

_DENSENET_CLASSES = ("DenseNet", "_DenseLayer", "_DenseBlock", "_Transition")
_LAYER_CLASSES = (
    "container.Sequential", "conv.Conv2d", "batchnorm.BatchNorm2d", "activation.ReLU",
    "activation.Sigmoid", "pooling.MaxPool2d", "pooling.AvgPool2d", "pooling.AdaptiveAvgPool2d",
    "linear.Linear", "linear.Identity", "dropout.Dropout",
)  # fmt: skip
KNOWN_CLASSES = frozenset(
    [f"torchxrayvision.models.{c}" for c in _DENSENET_CLASSES]
    + [f"torchvision.models.densenet.{c}" for c in _DENSENET_CLASSES]
    + [f"torch.nn.modules.{c}" for c in _LAYER_CLASSES]
    + ["torch.nn.parallel.data_parallel.DataParallel"]
    # Beside weights: numbers that numpy made, and a mark of modules from before PyTorch 1.2.
    + [f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")]
    + ["numpy.dtype", "torch.nn.backends.thnn._get_thnn_function_backend"]
)
_CONVERT = (
    "Where you trust its maker, convert it on a machine that holds no patient data, with the"
    " maker's own library installed: torch.save(torch.load(FILE, weights_only=False).state_dict(),"
    " NEW_FILE); then add NEW_FILE"
)


class _Sealed(type):
    """A class whose attributes a pickle cannot set."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError("a pickle tried to change a class")


class Placeholder(metaclass=_Sealed):
    """Stands for an object of a known class: attributes, no behaviour."""

    dump_patches = False  # torch asks every class of an old file for this

    def __new__(cls, *_args: object) -> Placeholder:
        """Takes and forgets whatever the class would have been made with."""
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keeps attributes; forgets the private states of numpy's objects."""
        if isinstance(state, dict):
            self.__dict__.update(state)


@dataclass(frozen=True)
class Checkpoint:
    """`state`: tensors by name, float32, on the CPU. The others as a torchxrayvision module has
    them: thresholds per output (NaN where it has none) and the outputs' names."""

    state: Mapping[str, Tensor]
    op_threshs: tuple[float, ...] = ()
    pathologies: tuple[str, ...] = ()


def read_checkpoint(path: Path, max_bytes: int) -> Checkpoint:
    """Raises ModelRefused for a file that is none, is too large, or needs code to be read."""
    if path.stat().st_size > max_bytes:
        raise ModelRefused(f"{path.name}: larger than {max_bytes:,} bytes")
    if zipfile.is_zipfile(path):
        check_zip_size(path, max_bytes)
        _refuse_torchscript(path)
    found = _load(path)
    if isinstance(found, Placeholder):
        return _of_module(path, found)
    if isinstance(found, Mapping):
        for key in _STATE_KEYS:
            inner = found.get(key)
            if isinstance(inner, Placeholder):
                return _of_module(path, inner)
            if isinstance(inner, Mapping):
                found = inner
                break
        tensors = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
        if tensors:
            thresholds = tensors.pop("op_threshs", torch.empty(0))
            return Checkpoint(_sound(path, tensors), tuple(thresholds.flatten().tolist()))
    raise ModelRefused(f"{path.name}: holds no network's weights")


def _refuse_torchscript(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise ModelRefused(f"{path.name} is TorchScript: only a MONAI bundle's is read")


def _load(path: Path) -> object:
    placeholders: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
        (Placeholder, name) for name in KNOWN_CLASSES
    ]
    with path.open("rb") as stream:
        legacy = stream.read(len(_LEGACY_MAGIC)) == _LEGACY_MAGIC
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(placeholders):
            warnings.simplefilter("ignore")
            if legacy:
                return _load_legacy(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelRefused(f"{path.name} is not read: {_needs(error)} {_CONVERT}") from error
    except Exception as error:
        # A truncated or invented file can fail anywhere in the reader.
        raise ModelRefused(f"{path.name}: not a readable checkpoint ({_brief(error)})") from error


def _load_legacy(path: Path) -> object:
    """A file of before PyTorch 1.6. From memory: torch tries tar, a format of its own, on files."""
    restricted = types.ModuleType("restricted_pickle")
    vars(restricted).update(
        Unpickler=_RestrictedUnpickler,
        load=lambda stream, **_options: _RestrictedUnpickler(stream).load(),
    )
    data = io.BytesIO(path.read_bytes())
    # Not `weights_only`: that would leave our unpickler aside. Ours finds the same list.
    return torch.load(data, map_location="cpu", pickle_module=restricted, weights_only=False)


class _RestrictedUnpickler(pickle.Unpickler):
    """Finds containers, tensors and placeholders; the library's manual, "Restricting Globals"."""

    def __init__(self, file: IO[bytes], **_options: object) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> object:
        """The object of that name, or UnpicklingError."""
        full = f"{module}.{name}"
        if full in KNOWN_CLASSES:
            return Placeholder
        if full == "collections.OrderedDict":
            return OrderedDict
        if full in ("__builtin__.set", "builtins.set"):
            return set
        # Fresh functions, so that a pickle that sets attributes on them changes nothing of torch.
        if full == "torch._utils._rebuild_tensor_v2":
            return lambda *args: torch._utils._rebuild_tensor_v2(*args)  # type: ignore[no-untyped-call]
        if full == "torch._utils._rebuild_parameter":
            return lambda data, *_rest: data
        raise pickle.UnpicklingError(f"Unsupported global: GLOBAL {full} was not allowed")


def _needs(error: pickle.UnpicklingError) -> str:
    """The refusal in one sentence, without torch's advice to allow what was refused."""
    text = str(error)
    marker = "Unsupported global: GLOBAL "
    if marker in text:
        return f"it needs the code of {text.split(marker, 1)[1].split(' ', 1)[0]}."
    return f"it is no plain pickle of weights ({_brief(error)})."


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _of_module(path: Path, module: Placeholder) -> Checkpoint:
    tensors = dict(_tensors(path, module, "", set()))
    held: Mapping[str, object] = vars(module)
    inner = held.get("_modules")
    if isinstance(inner, Mapping) and isinstance(inner.get("module"), Placeholder):
        held = vars(inner["module"])  # wrapped in DataParallel
    names = held.get("pathologies") or held.get("targets")
    thresholds = held.get("op_threshs")
    for name in [n for n in tensors if n.rpartition(".")[2] == "op_threshs"]:
        thresholds = tensors.pop(name)
    if isinstance(thresholds, Tensor):
        thresholds = thresholds.flatten().tolist()
    return Checkpoint(
        _sound(path, tensors),
        tuple(float(t) for t in thresholds if isinstance(t, (int, float)))
        if isinstance(thresholds, (list, tuple))
        else (),
        tuple(str(n) for n in names) if isinstance(names, (list, tuple)) else (),
    )


def _tensors(
    path: Path, module: Placeholder, prefix: str, seen: set[int]
) -> Iterator[tuple[str, Tensor]]:
    if id(module) in seen or prefix.count(".") > _MAX_DEPTH:
        raise ModelRefused(f"{path.name}: its modules hold each other")
    seen.add(id(module))
    for kind in ("_parameters", "_buffers"):
        held = vars(module).get(kind)
        if isinstance(held, Mapping):
            yield from ((f"{prefix}{k}", v) for k, v in held.items() if isinstance(v, Tensor))
    children = vars(module).get("_modules")
    if isinstance(children, Mapping):
        for name, child in children.items():
            if isinstance(child, Placeholder):
                yield from _tensors(path, child, f"{prefix}{name}.", seen)


def _sound(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous float32 copies; refuses what is not finite or not of this size on disk."""
    if sum(t.numel() for t in tensors.values()) > _MAX_ELEMENTS:
        raise ModelRefused(f"{path.name}: more than {_MAX_ELEMENTS:,} weights")
    found = {}
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex():
            raise ModelRefused(f"{path.name}: {name} is no plain tensor")
        plain = tensor.detach()
        found[name] = plain.float() if plain.is_floating_point() else plain.clone()
        if not torch.isfinite(found[name]).all():
            raise ModelRefused(f"{path.name}: {name} holds numbers that are not finite")
    return found
