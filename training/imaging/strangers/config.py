"""training/configs/strangers.yaml: where photographs come from, and how much of what is packed."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "strangers.yaml"
Split = Literal["train", "held_out"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhotoPart(_Strict):
    """Files of a package that are on the same side of the split; `glob` over their paths."""

    name: str
    glob: str
    split: Split


class PhotoSource(_Strict):
    """A package of a public registry. The first part whose glob fits takes a file.

    `licence` is what the package's own copyright file says of the pictures.
    Files of fewer than `smallest_bytes` are icons and diagrams.
    """

    package: str
    version: str
    registry: Literal["debian", "pypi", "pypi-source"]
    licence: str
    parts: tuple[PhotoPart, ...] = Field(min_length=1)
    leave_out: tuple[str, ...] = ()
    smallest_bytes: int = Field(ge=0, default=0)

    def part_of(self, origin: str) -> str | None:
        """The name of the part that takes the file, None where no glob fits."""
        for part in self.parts:
            if fnmatch.fnmatch(origin, part.glob):
                return part.name
        return None


class StrangersConfig(_Strict):
    """`shares`: how much of the pictures each family is, by generator or `photos`, `screens`.

    Every drawn source is named FAMILY/GENERATOR; those in `held_out` are never in the training
    part, nor are `held_out_fonts` and the photographs of held-out parts.
    """

    size: int = Field(ge=32, le=1024)
    seed: int
    train: int = Field(gt=0)
    held_out: int = Field(gt=0)
    shares: dict[str, float]
    held_out_sources: tuple[str, ...]
    held_out_fonts: tuple[str, ...]
    photos: tuple[PhotoSource, ...]

    def photo_split(self, part: str) -> Split:
        """Raises KeyError for a part that the file does not name."""
        for source in self.photos:
            for known in source.parts:
                if known.name == part:
                    return known.split
        raise KeyError(part)


def read_config(path: Path = CONFIG) -> StrangersConfig:
    """Raises pydantic.ValidationError for a wrong or unknown key."""
    return StrangersConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
