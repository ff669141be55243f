"""Trains an imaging classifier and writes a folder that the model repository can serve.

    train(config, data, out) ->  out/checkpoints/NAME/member0/{checkpoint.pt, best.pt, tensorboard}
                                 out/NAME/VERSION/{model.onnx, manifest.json, MODEL_CARD.md}

Sets of patients are kept apart: most of `train` fits a network; the part that it never saw stops
it early and fixes temperature, threshold, prediction sets and out-of-distribution limit; `dev` is
only reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from training.imaging import launch
from training.imaging.config import ImagingConfig, read_config
from training.imaging.data import (
    LabelledImages,
    Labels,
    folds_by_group,
    read_set,
    split_by_group,
)
from training.imaging.fit import Fitter
from training.imaging.net import SalientNet
from training.imaging.package import Trained, package


@dataclass(frozen=True)
class Split:
    """Row numbers that one member fits, and those that it never sees."""

    fitted: Labels
    held_out: Labels


def train(
    config_path: Path,
    data_dir: Path,
    out_dir: Path,
    *,
    resume: bool = False,
    smoke: bool = False,
    torch_program: bool = False,
) -> dict[str, dict[str, float]]:
    """Metric values by view, as in the manifest. `smoke` runs everything on a few images.

    Raises FileNotFoundError without the data, pydantic.ValidationError for a wrong config. Under
    torchrun, all processes but the first return nothing.
    """
    config = read_config(config_path)
    if smoke:
        config = _smoke(config)
    if config.optimisation.threads:
        torch.set_num_threads(config.optimisation.threads)
    console = Console(stderr=True, quiet=not launch.leads())
    full = read_set(data_dir / config.data.train, config, limit=60 if smoke else None)
    dev = _dev(config, data_dir, limit=24 if smoke else None)
    console.print(f"{len(full)} images to learn from, {0 if dev is None else len(dev)} to report")
    trained = fit(config, full, out_dir / "checkpoints" / config.name, console, resume=resume)
    if not launch.leads():
        return {}
    target = out_dir / config.name / str(config.version)
    manifest = package(
        config, trained, full, dev, target,
        samples=50 if smoke else 1000, torch_program=torch_program,
    )  # fmt: skip
    return {
        view: {name: metric.value for name, metric in values.items()}
        for view, values in manifest.metrics.items()
    }


def fit(
    config: ImagingConfig, full: LabelledImages, folder: Path, console: Console, *, resume: bool
) -> Trained:
    """Every member, and the student that stands for them where the config wants one."""
    members: list[SalientNet] = []
    parts = splits(config, full)
    for index, part in enumerate(parts):
        fitter = Fitter(
            config, full.take(part.fitted), full.take(part.held_out), folder / f"member{index}",
            index,
        )  # fmt: skip
        members.append(fitter.run(resume=resume, report=console.print))
        launch.meet()
    if config.optimisation.distil and not config.data.folds:
        part = parts[0]
        student = Fitter(
            config, full.take(part.fitted), full.take(part.held_out), folder / "student",
            len(members), teachers=members,
        )  # fmt: skip
        members = [student.run(resume=resume, report=console.print)]
        parts = parts[:1]
    return Trained(members, [part.held_out for part in parts], bool(config.data.folds))


def splits(config: ImagingConfig, full: LabelledImages) -> list[Split]:
    """What each member fits: all but one fold each, or the same part for all of them."""
    count, data = len(config.optimisation.epochs), config.data
    if not data.folds:
        rows, held = split_by_group(
            full.first, full.groups, data.held_out_fraction, data.held_out_seed
        )
        return [Split(rows, held)] * count
    fold = folds_by_group(full.first, full.groups, data.folds, data.held_out_seed)
    return [Split(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(count)]


def _dev(config: ImagingConfig, data_dir: Path, limit: int | None) -> LabelledImages | None:
    if config.data.dev is None:
        return None
    return read_set(data_dir / config.data.dev, config, part="val", limit=limit)


def _smoke(config: ImagingConfig) -> ImagingConfig:
    """Everything once, on a few images with a tiny network."""
    count = min(2, len(config.optimisation.epochs))
    optimisation = config.optimisation.model_copy(
        update={"epochs": (1,) * count, "samples_per_epoch": 32, "batch_size": 8,
                "precision": "fp32", "distil": min(1, config.optimisation.distil)}
    )  # fmt: skip
    net = config.net.model_copy(update={"widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 1)})
    folds = 2 if config.data.folds else 0
    data = config.data.model_copy(update={"held_out_fraction": 0.3, "folds": folds})
    update = {"optimisation": optimisation, "net": net, "data": data}
    return config.model_copy(update=update)
