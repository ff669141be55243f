"""The settings of one imaging training, read from YAML; a wrong or unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from models.imaging.preprocess import PreprocessSpec
from models.manifest import Label, Population, TrainingSet


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Strict):
    """Files under the data folder; the held-out part is carved from `train` by patient."""

    train: str
    dev: str
    held_out_fraction: float = Field(gt=0, lt=0.5, default=0.12)
    held_out_seed: int = 7


class NetConfig(_Strict):
    """See `training.imaging.net.SalientResNet`."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    dropout: float = 0.2
    mixstyle: float = 0.5


class OptimisationConfig(_Strict):
    """Lengths in epochs, an epoch being `samples_per_epoch` draws balanced over the classes.

    `epochs` has one entry per member network; members are averaged inside the exported graph.
    `threads` 0 leaves the number to torch (which heeds OMP_NUM_THREADS).
    """

    epochs: tuple[int, ...] = (30,)
    samples_per_epoch: int = 4000
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_fraction: float = 0.1
    label_smoothing: float = 0.05
    mixup_alpha: float = 0.2
    mixup_probability: float = 0.4
    ema_decay: float = 0.995
    patience: int = 15
    precision: Literal["bf16", "fp32"] = "bf16"
    threads: int = Field(ge=0, default=0)
    working_size: int = 160
    augmentation: float = 1.0


class OperatingConfig(_Strict):
    """Where threshold, prediction sets and out-of-distribution limit are put, on held-out data.

    `training.imaging.calibrate.choose_threshold` says what the first three do.
    """

    min_sensitivity: float = 0.96
    min_specificity: float = 0.9
    lean: float = Field(ge=0, le=1, default=0.75)
    coverage: float = 0.9
    ood_quantile: float = 0.99
    ood_components: int = 31


class ImagingConfig(_Strict):
    """One model: names for people, data, network, optimisation, operating point."""

    name: str
    version: int
    title: dict[Literal["zh", "en"], str]
    labels: tuple[Label, ...]
    positive: int = 1
    population: Population
    training_sets: tuple[TrainingSet, ...]
    seed: int = 17
    data: DataConfig
    preprocessing: PreprocessSpec = PreprocessSpec()
    net: NetConfig = NetConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    operating: OperatingConfig = OperatingConfig()

    @property
    def classes(self) -> tuple[str, ...]:
        """Label codes in the order of the logits."""
        return tuple(label.code for label in self.labels)


def read_config(path: Path) -> ImagingConfig:
    """Raises pydantic.ValidationError naming the key that is wrong."""
    return ImagingConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
