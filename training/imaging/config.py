"""The settings of one imaging training, read from YAML; a wrong or unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.imaging.context import WIDTH
from models.imaging.preprocess import PreprocessSpec
from models.manifest import Label, LabelGroup, Population, TrainingSet


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Strict):
    """Files under the data folder, and how patients are kept apart.

    Without `folds`, one part of `train` is held out for all members. With `folds`, member i never
    sees fold i, and what is held out is every image as judged by the one member that never saw
    it. `dev` is only reported; a set too small for one reports the held-out images.
    """

    train: str
    dev: str | None = None
    group: str | None = None
    held_out_fraction: float = Field(gt=0, lt=0.5, default=0.12)
    held_out_seed: int = 7
    folds: int = Field(ge=0, default=0)


class HeadConfig(_Strict):
    """One question to the network: the column of labels.csv and the labels it may hold.

    values: what the column says for each label where that is not the label's code. ordinal: the
    smoothing of targets falls with the distance between labels (Diaz and Marathe, CVPR 2019).
    threshold_for: the label or group that the shipped threshold is for; `answer_weights` `prior`
    divides each label's probability by its share in the training set before the most probable is
    answered, so that a rare disease counts as much as a common one.
    """

    code: str
    zh: str
    en: str
    column: str
    labels: tuple[Label, ...]
    values: tuple[str, ...] | None = None
    groups: tuple[LabelGroup, ...] = ()
    ordinal: float | None = None
    loss_weight: float = 1.0
    threshold_for: str | None = None
    answer_weights: Literal["none", "prior"] = "none"
    research_only: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> HeadConfig:
        codes = [label.code for label in self.labels]
        if self.values is not None and len(self.values) != len(codes):
            raise ValueError(f"{self.code}: {len(codes)} labels, but {len(self.values)} values")
        for group in self.groups:
            if not set(group.labels) <= set(codes):
                raise ValueError(f"{self.code}: group {group.code} has labels that are not there")
        if self.threshold_for is not None and not self.positive:
            raise ValueError(f"{self.code}: no label or group {self.threshold_for}")
        return self

    @property
    def column_values(self) -> tuple[str, ...]:
        """The column's value of each label, in the order of the logits."""
        return self.values or tuple(label.code for label in self.labels)

    @property
    def positive(self) -> tuple[int, ...]:
        """Numbers of the labels that the threshold is for; empty without one."""
        groups = {group.code: tuple(group.labels) for group in self.groups}
        wanted = groups.get(self.threshold_for or "", (self.threshold_for,))
        return tuple(i for i, label in enumerate(self.labels) if label.code in wanted)


class NetConfig(_Strict):
    """See `training.imaging.net.SalientNet` and, for the family, `training.imaging.trunks`.

    `start`: the weights before the first step; the first `frozen` parts (the stem is one, each
    stage another) keep them. Widths, blocks, stem, last stride and `symmetry`
    (4: a picture turned by a quarter is the same picture, training.imaging.symmetry) are the
    ResNet's.
    """

    family: Literal["resnet", "efficientnet_lite0"] = "resnet"
    start: Literal["random", "imagenet"] = "random"
    frozen: int = Field(ge=0, default=0)
    widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    stem: Literal["instance", "batch"] = "instance"
    stem_kernel: int = 7
    stem_pool: bool = True
    last_stride: Literal[1, 2] = 1
    pool_power: float = Field(ge=1, default=1.0)
    dropout: float = 0.2
    mixstyle: float = 0.5
    symmetry: Literal[1, 4] = 1


class OptimisationConfig(_Strict):
    """Lengths in epochs, an epoch being `samples_per_epoch` draws.

    `epochs` has one entry per member network; members are averaged inside the exported graph.
    `balance` 1 draws every class of the first head as often, 0 as it comes. `threads` 0 leaves
    the number to torch (which heeds OMP_NUM_THREADS). `workers`: processes that make the batches
    beside the one that trains, 0 for none; the batches are the same. `augmentation`: a number for
    the strength of `training.imaging.augment.Augmenter`, or MONAI transforms by name with their
    arguments.
    `watched`: stress views that early stopping heeds beside the images as they are. `patience`:
    epochs without a better score after which a run stops, 0 for none; with `data.folds` neither
    counts, because the held-out fold is reported: every run has its full length, and what it ends
    with is taken.
    `distil`: epochs of one student that learns from all members, seen under flips, and is served
    in their place; 0 for none.
    """

    epochs: tuple[int, ...] = (30,)
    samples_per_epoch: int = 4000
    balance: float = Field(ge=0, le=1, default=1.0)
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
    workers: int = Field(ge=0, default=0)
    working_size: int = 160
    augmentation: float | tuple[dict[str, dict[str, object]], ...] = 1.0
    watched: tuple[str, ...] = ("exposure_down", "contrast_down", "crop", "rotate_left", "blur",
                                "portable")  # fmt: skip
    distil: int = Field(ge=0, default=0)
    distil_temperature: float = Field(gt=0, default=2.0)


class OperatingConfig(_Strict):
    """Where threshold, prediction sets and out-of-distribution limit are put, on held-out data.

    `training.imaging.calibrate.choose_threshold` says what the first three do. `views`: whether
    all stress views are used for them or the images as they are.
    """

    min_sensitivity: float = 0.96
    min_specificity: float = 0.9
    lean: float = Field(ge=0, le=1, default=0.75)
    coverage: float = 0.9
    views: Literal["stress", "as_is"] = "stress"
    ood_quantile: float = 0.99
    ood_components: int = 31


class ImagingConfig(_Strict):
    """One model: names for people, questions, data, network, optimisation, operating point."""

    name: str
    version: int
    title: dict[Literal["zh", "en"], str]
    heads: tuple[HeadConfig, ...] = Field(min_length=1)
    population: Population = Population()
    training_sets: tuple[TrainingSet, ...]
    context: bool = False
    limits: tuple[str, ...] = ()
    seed: int = 17
    data: DataConfig
    preprocessing: PreprocessSpec = PreprocessSpec()
    net: NetConfig = NetConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    operating: OperatingConfig = OperatingConfig()

    @property
    def context_width(self) -> int:
        """Length of the context that the network takes; 0 for none."""
        return WIDTH if self.context else 0

    @property
    def first(self) -> HeadConfig:
        """The question that the model is for."""
        return self.heads[0]


def read_config(path: Path) -> ImagingConfig:
    """Raises pydantic.ValidationError naming the key that is wrong."""
    return ImagingConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
