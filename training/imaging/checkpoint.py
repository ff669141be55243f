"""Checkpoints: written whole or not at all, and resumed only by the run that they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.imaging.preprocess import PreprocessSpec
from training.imaging.config import HeadConfig, ImagingConfig
from training.imaging.data import LabelledImages
from training.imaging.errors import CannotTrain

Weights = dict[str, Tensor]


class RunRecord(TypedDict):
    """What decides a run's result, by dotted name, and the sha256 over all of it."""

    sha256: str
    settings: dict[str, str]


class StoredState(TypedDict):
    """See `training.imaging.fit.FitState`."""

    epoch: int
    best_score: float
    best_epoch: int
    history: list[dict[str, float]]


class Checkpoint(TypedDict):
    """All that is needed to go on. `run` is missing in files of older versions."""

    net: Weights
    average: Weights
    optimiser: dict[str, object]
    scheduler: dict[str, object]
    state: StoredState
    run: NotRequired[RunRecord]


@dataclass(frozen=True)
class Run:
    """One member's training: settings and data that decide what comes out of it.

    What changes only how long or how fast a run trains (patience, threads, workers, number of
    processes), how labels are called or where thresholds are put is left out. Settings at their
    defaults are left out, too, so that a new setting does not disown older checkpoints.
    """

    settings: Mapping[str, str]

    @classmethod
    def of(
        cls,
        config: ImagingConfig,
        *,
        member: int,
        epochs: int,
        train: LabelledImages,
        held_out: LabelledImages,
        teachers: Sequence[nn.Module],
    ) -> Run:
        """`epochs`: of this member; images and weights are represented by their sha256."""
        left_out = {"epochs", "patience", "threads", "workers", "distil"}
        if not teachers:
            left_out.add("distil_temperature")
        found: dict[str, object] = {
            "seed": config.seed,
            "member": member,
            "epochs": epochs,
            "context": config.context,
            "data.train": _digest(train),
            "data.held_out": _digest(held_out),
        }
        if teachers:
            found["teachers"] = [_digest_of(teacher.state_dict()) for teacher in teachers]
        parts: dict[str, Mapping[str, object]] = {
            "net": config.net.model_dump(mode="json", exclude_defaults=True),
            "optimisation": config.optimisation.model_dump(
                mode="json", exclude_defaults=True, exclude=left_out
            ),
            "preprocessing": _changed(config.preprocessing),
        }
        for part, values in parts.items():
            found |= {f"{part}.{name}": value for name, value in values.items()}
        for number, head in enumerate(config.heads):
            found |= {f"heads.{number}.{k}": v for k, v in _asked(head).items()}
        return cls({name: json.dumps(value, sort_keys=True) for name, value in found.items()})

    @property
    def record(self) -> RunRecord:
        """As a checkpoint keeps it."""
        text = json.dumps(dict(self.settings), sort_keys=True)
        return {
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "settings": dict(self.settings),
        }

    def load(self, path: Path, device: torch.device, report: Callable[[str], None]) -> Checkpoint:
        """The checkpoint in `path`. Raises CannotTrain, naming what differs, for another run's."""
        saved: Checkpoint = torch.load(path, map_location=device, weights_only=True)
        record = saved.get("run")
        if record is None:
            report(f"warning: {path} does not say which run it belongs to; taken as this one's")
        elif record["sha256"] != self.record["sha256"]:
            raise CannotTrain(
                f"{path} belongs to another run: {self._differences(record['settings'])};"
                " train into another folder or with --no-resume"
            )
        return saved

    def _differences(self, stored: Mapping[str, str]) -> str:
        names = sorted(stored.keys() | self.settings.keys())
        return ", ".join(
            f"{name} is {_short(stored.get(name))} there and {_short(self.settings.get(name))} here"
            for name in names
            if stored.get(name) != self.settings.get(name)
        )


def save(content: Checkpoint | Weights, path: Path) -> None:
    """Written aside and renamed: a kill in the middle leaves the older file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    torch.save(content, aside)
    aside.replace(path)


def _asked(head: HeadConfig) -> dict[str, object]:
    """What of a question reaches the loss and the score that chooses the best epoch."""
    return {
        "column": head.column,
        "values": list(head.column_values),
        "ordinal": head.ordinal,
        "loss_weight": head.loss_weight,
        "research_only": head.research_only,
    }


def _changed(spec: PreprocessSpec) -> dict[str, object]:
    usual = asdict(PreprocessSpec())
    return {name: value for name, value in asdict(spec).items() if value != usual[name]}


def _digest(data: LabelledImages) -> str:
    """sha256 over everything of the images that reaches a network or its score."""
    pixels, labels, context = data.images, data.labels, data.context
    arrays = _raw([("images", pixels), ("labels", labels), ("context", context)])
    return _sha256([("files", "\n".join(data.files).encode()), *arrays])


def _digest_of(weights: Weights) -> str:
    return _sha256(_raw((name, value.cpu().numpy()) for name, value in weights.items()))


def _raw(arrays: Iterable[tuple[str, npt.NDArray[np.generic]]]) -> list[tuple[str, memoryview]]:
    return [
        (f"{name} {a.dtype} {a.shape}", np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
        for name, a in arrays
    ]


def _sha256(parts: Iterable[tuple[str, bytes | memoryview]]) -> str:
    found = hashlib.sha256()
    for name, content in parts:
        found.update(f"{name} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


def _short(value: str | None) -> str:
    if value is None:
        return "the default"
    return value if len(value) <= 40 else f"{value[:37]}..."
