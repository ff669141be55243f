"""A two-dimensional classifier from a MONAI bundle (MONAI Bundle Specification 0.1).

A bundle's configuration is a program: `$` expressions are Python and `_target_` names anything that
can be imported. None of it is run here. The network's definition is read for a class of a short
list and for literal arguments; `@` references are followed to literals. Everything else of the
bundle (transforms, inferers, handlers) is left aside, so what the network was given as input is for
`about.yaml` to say.

`models/model.pt` is read by `training.adopt.checkpoint`. `models/model.ts` is opened by
`torch.jit.load`, which compiles the TorchScript in it and restores its attributes: no Python runs,
and of its methods none is called; only the weights are taken.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import monai.networks.nets
import torch
import yaml
from torch import Tensor, nn

from models.adopt.unpack import check_zip_size
from models.errors import ModelRefused
from training.adopt.checkpoint import read_checkpoint

NETWORKS = frozenset(
    [
        *("DenseNet", "DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264"),
        *("EfficientNetBN", "ResNet", "resnet10", "resnet18", "resnet34", "resnet50"),
        *("resnet101", "resnet152", "SENet154", "SEResNet50", "SEResNet101", "SEResNet152"),
        *("SEResNext50", "SEResNext101"),
    ]
)
"""Classifiers of `monai.networks.nets` that end in pooling and one linear layer."""
_TARGET = re.compile(r"^(?:monai\.networks\.nets\.(?:[a-z_0-9]+\.)?)?([A-Za-z0-9]+)$")
_SECTIONS = ("network_def", "network", "net", "model")
_CONFIGS = ("inference.json", "inference.yaml", "inference.yml", "train.json", "train.yaml")
_TOLD = ("name", "version", "description", "data_source", "copyright", "license", "authors")
_MAX_CONFIG_BYTES = 2_000_000
_MAX_NUMBER = 4096
_MAX_DEPTH = 8
_MAX_ITEMS = 64

Literal_ = None | bool | int | float | str | list["Literal_"] | dict[str, "Literal_"]


@dataclass(frozen=True)
class Bundle:
    """`net` in `eval()`, image [N, channels, S, S] -> [N, outputs].

    size: side of its input where the metadata says it. outputs: the outputs' names, empty where it
    doesn't. known: fields of `about.yaml` that the metadata answers. notes: what it says besides.
    """

    net: nn.Module
    channels: int
    size: int | None
    outputs: tuple[str, ...]
    known: Mapping[str, object]
    notes: tuple[str, ...]


def read_bundle(folder: Path, max_bytes: int) -> Bundle:
    """Raises ModelRefused naming what is missing, or what would need code to be run."""
    metadata = _mapping(folder / "configs" / "metadata.json")
    config = next((p for n in _CONFIGS if (p := folder / "configs" / n).is_file()), None)
    if config is None:
        raise ModelRefused("the bundle has no configs/inference.json or .yaml")
    net = _network(_mapping(config), _state(folder, max_bytes))
    formats = _section(metadata, "network_data_format")
    [given, answer] = [
        next((v for v in _section(formats, side).values() if isinstance(v, dict)), {})
        for side in ("inputs", "outputs")
    ]
    channels, shape = given.get("num_channels"), given.get("spatial_shape")
    if channels not in (1, 3):
        raise ModelRefused(f"the bundle's input has {channels} channels: 1 or 3 are read")
    if isinstance(shape, list) and len(shape) != 2:
        raise ModelRefused(f"the bundle's input has {len(shape)} dimensions: 2 are read")
    names = _section(answer, "channel_def")
    use = metadata.get("intended_use")
    return Bundle(
        net=net,
        channels=int(str(channels)),
        size=shape[0] if isinstance(shape, list) and isinstance(shape[0], int) else None,
        outputs=tuple(str(names[k]) for k in sorted(names, key=_number)),
        known={"intended_use": use} if isinstance(use, str) and use else {},
        notes=tuple(_notes(metadata)),
    )


def _mapping(path: Path) -> dict[str, Literal_]:
    """A JSON or YAML file's fields, of plain types only."""
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ModelRefused(f"{path.name} is too large")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise ModelRefused(f"the bundle's {path.name}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ModelRefused(f"the bundle's {path.name} is not readable: {error}") from error
    if not isinstance(found, dict):
        raise ModelRefused(f"the bundle's {path.name} is no mapping of fields")
    return found


def _section(fields: Mapping[str, Literal_], name: str) -> dict[str, Literal_]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _number(key: str) -> int:
    if not key.isdecimal():
        raise ModelRefused(f"the bundle's channel_def has a channel {key!r}")
    return int(key)


def _notes(metadata: Mapping[str, Literal_]) -> Iterator[str]:
    for name in (
        "name",
        "version",
        "description",
        "data_source",
        "copyright",
        "license",
        "authors",
    ):
        value = metadata.get(name)
        if isinstance(value, str) and value:
            yield f"The bundle's {name}: {' '.join(value.split())[:500]}"


def _state(folder: Path, max_bytes: int) -> Mapping[str, Tensor]:
    weights, script = folder / "models" / "model.pt", folder / "models" / "model.ts"
    if weights.is_file():
        return read_checkpoint(weights, max_bytes).state
    if not script.is_file():
        raise ModelRefused("the bundle has no models/model.pt or models/model.ts")
    check_zip_size(script, max_bytes)
    try:
        state: dict[str, Tensor] = torch.jit.load(  # type: ignore[no-untyped-call]
            str(script), map_location="cpu"
        ).state_dict()
    except Exception as error:
        raise ModelRefused(f"model.ts is not readable: {type(error).__name__}") from error
    return state


def _network(config: Mapping[str, Literal_], state: Mapping[str, Tensor]) -> nn.Module:
    definition = next(
        (v for name in _SECTIONS if isinstance(v := config.get(name), dict) and "_target_" in v),
        None,
    )
    if definition is None:
        raise ModelRefused(f"the bundle defines no {' or '.join(_SECTIONS)} by a _target_")
    build = _allowed(definition["_target_"])
    special = [k for k in definition if k.startswith("_") and k not in ("_target_", "_desc_")]
    if special:
        raise ModelRefused(f"the network's definition uses {', '.join(special)}, which is not read")
    arguments = {k: _literal(v, config) for k, v in definition.items() if not k.startswith("_")}
    if "pretrained" in inspect.signature(build).parameters:
        arguments["pretrained"] = False  # it would download; the weights are the bundle's
    try:
        # Without memory, so that a definition cannot take any before its weights are compared.
        with torch.device("meta"):
            net: nn.Module = build(**arguments)
        net.load_state_dict(dict(state), assign=True)
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise ModelRefused(f"the bundle's network and weights don't fit: {why}") from error
    return net.eval()


def _allowed(target: Literal_) -> type[nn.Module]:
    found = _TARGET.match(target) if isinstance(target, str) else None
    if found is None or found[1] not in NETWORKS:
        raise ModelRefused(
            f"the network {target!r} is none that is read: {', '.join(sorted(NETWORKS))}"
            " of monai.networks.nets"
        )
    build: type[nn.Module] = getattr(monai.networks.nets, found[1])
    return build


def _literal(value: Literal_, config: Mapping[str, Literal_], depth: int = 0) -> Literal_:
    """The value with its references followed; refuses what would have to be evaluated."""
    if depth > _MAX_DEPTH:
        raise ModelRefused("the bundle's references go round in a circle, or too deep")
    if isinstance(value, str):
        if value.startswith("@"):
            return _literal(_look_up(value[1:], config), config, depth + 1)
        if value.startswith(("$", "%")):
            raise ModelRefused(
                f"the network's definition holds {value[:80]!r}, which would have to be run;"
                " write the number there"
            )
    if isinstance(value, (list, dict)) and len(value) > _MAX_ITEMS:
        raise ModelRefused("the network's definition is too large")
    if isinstance(value, list):
        return [_literal(item, config, depth + 1) for item in value]
    if isinstance(value, dict):
        if "_target_" in value:
            raise ModelRefused(f"the network's definition makes a {value['_target_']!r}")
        return {k: _literal(v, config, depth + 1) for k, v in value.items()}
    if isinstance(value, (int, float)) and not abs(value) <= _MAX_NUMBER:
        raise ModelRefused(f"the network's definition holds the number {value}")
    return value


def _look_up(reference: str, config: Mapping[str, Literal_]) -> Literal_:
    found: Literal_ = dict(config)
    for part in re.split(r"::|#", reference):
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise ModelRefused(f"the bundle has nothing called @{reference[:80]}")
    return found
