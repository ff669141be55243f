"""`about.yaml`: what the owner of a checkpoint says of it, because no checkpoint says it.

Without it no manifest can be written: population, training sets with licences and bilingual
names are required. `about_template.yaml` explains each field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.adopt.check import wrong_fields
from models.errors import ModelRefused
from models.manifest import Label, Metric, Population, TrainingSet

TEMPLATE = Path(__file__).with_name("about_template.yaml")
_MAX_BYTES = 1_000_000
_CODE = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
# ImageNet's channel statistics, as torchvision's references use them (pixels in 0..1).
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# torchxrayvision maps 0..1 to -1024..1024: (x - 0.5) * 2048.
_TORCHXRAYVISION = ((0.5,), (1.0 / 2048.0,))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Standard(_Strict):
    """(pixel - mean) / std, one number per channel, pixels in 0..1."""

    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[float, ...] = Field(min_length=1, max_length=3)

    @model_validator(mode="after")
    def _sound(self) -> Standard:
        if len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ValueError("mean and std have one number per channel, std above 0")
        return self


class ImageInput(_Strict):
    """What the network was given while it learned."""

    size: int = Field(ge=16, le=2048)
    scaling: Literal["torchxrayvision", "imagenet", "unit"] | Standard
    colour: Literal["grey", "rgb"] = "grey"
    shape: Literal["squash", "centre"] = "squash"

    @property
    def standard(self) -> Standard:
        """The scaling as mean and deviation."""
        if isinstance(self.scaling, Standard):
            return self.scaling
        named = {"torchxrayvision": _TORCHXRAYVISION, "imagenet": _IMAGENET}
        mean, std = named.get(self.scaling, ((0.0,), (1.0,)))
        return Standard(mean=mean, std=std)


class TextInput(_Strict):
    """How a text encoder's states become one vector, and how many pieces it reads."""

    pooling: Literal["mean", "cls"] | None = None
    longest: int = Field(256, ge=8, le=8192)


class About(_Strict):
    """See the module. Fields of the other kind of model stay empty."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")
    version: int = Field(ge=1, default=1)
    title: dict[Literal["zh", "en"], str] = Field(min_length=2)
    intended_use: str = Field(min_length=1)
    not_for: str = "Not stated."
    population: Population = Population()
    training_sets: tuple[TrainingSet, ...] = Field(min_length=1)
    labels: tuple[Label | None, ...] = ()
    activation: Literal["softmax", "sigmoid"] | None = None
    primary: str | None = None
    thresholds: dict[str, float] = Field(default_factory=dict)
    temperature: float = Field(gt=0, default=1.0)
    image: ImageInput | None = None
    languages: tuple[Literal["zh", "en"], ...] = ()
    text: TextInput = TextInput()
    metrics: dict[str, dict[str, Metric]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[Label, ...]:
        """The labels of the outputs that are used."""
        return tuple(label for label in self.labels if label is not None)

    def check_classifier(self) -> ImageInput:
        """The image input; raises ModelRefused naming what a classifier still lacks."""
        lacking = [
            name
            for name, value in (
                ("labels", self.named), ("activation", self.activation), ("image", self.image),
                ("primary", self.primary or self.activation == "softmax"),
            )
            if not value
        ]  # fmt: skip
        if self.population.image_kind is None:
            # A modality is no substitute: a PNG has none, and would get an opinion.
            lacking.append("population.image_kind")
        if lacking or self.image is None:
            raise ModelRefused(f"about.yaml lacks {', '.join(lacking)}")
        codes = [label.code for label in self.named]
        if len(set(codes)) != len(codes):
            raise ModelRefused("about.yaml: a label is there twice")
        for code in codes:
            if not _CODE.match(code):
                raise ModelRefused(f"about.yaml: {code!r} is no code (a-z, 0-9 and _)")
        if self.primary is not None and self.primary not in codes:
            raise ModelRefused(f"about.yaml: primary {self.primary} is no label")
        if self.activation == "softmax" and None in self.labels:
            raise ModelRefused("about.yaml: with softmax every output needs a label")
        for code, value in self.thresholds.items():
            if code not in codes or not 0 < value < 1:
                raise ModelRefused(f"about.yaml: threshold {code} is for no label, or not in 0..1")
        return self.image


def read_about(path: Path, known: Mapping[str, object] | None = None) -> About:
    """The file, with what the checkpoint itself says (`known`) where the file is silent.

    Raises ModelRefused naming every field that is missing or wrong.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelRefused(f"{path.name} is too large")
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelRefused(f"{path.name}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"{path.name} is no YAML: {error}") from error
    if not isinstance(stated, dict):
        raise ModelRefused(f"{path.name} is no mapping of fields")
    try:
        return About.model_validate({**(known or {}), **stated})
    except ValidationError as error:
        raise ModelRefused(f"{path.name}: {wrong_fields(error)}") from error
