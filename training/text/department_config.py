"""Settings of the department trainer, read from `training/configs/department.yaml`."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from training.text.finetune import FitConfig


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseStep(_Strict):
    """Step 1: the SVM's cost and the weight of a row of each source."""

    cost: float
    weights: dict[str, float]


class AdaptedStep(_Strict):
    """Step 2: cost, total weight (as a number of `rows`), shares of sources, and how many are kept.

    Inside a source a department counts by the square root of its rows at `class_balance` 0.5.
    """

    cost: float
    rows: int
    class_balance: float
    shares: dict[str, float]
    kept: dict[str, float]


class EncoderFit(_Strict):
    """One step of the encoder's half: shares of sources in the loss, how often a row of each is
    learned from, and the fit."""

    class_balance: float
    shares: dict[str, float]
    kept: dict[str, float]
    fit: FitConfig


class EncoderStep(_Strict):
    """The encoder's half: the pretrained folder, pieces read, and its exponent `share` in the
    product of both halves' probabilities."""

    encoder: str
    longest: int
    dropout: float
    share: float
    base: EncoderFit
    adapted: EncoderFit


class CalibrationStep(_Strict):
    """`internal_weight`: part of the internal consults in the loss."""

    knee: float
    slope: float
    shift_penalty: float
    internal_weight: float


class DepartmentConfig(_Strict):
    """All settings.

    `kept_views`: the part of each kind of encyclopedia view that is used at all.
    `english_term_margin`: the base's score of a Chinese HPO term from which its department is
    taught for the English term, too. `answered_accuracy`: the accuracy that answers above the
    threshold `unsure` reach on held-out consults of all departments.
    """

    title: dict[str, str]
    seed: int
    threads: int
    buckets: int
    max_characters: int
    longest_run: int
    kept_views: dict[str, float]
    base: BaseStep
    adapted: AdaptedStep
    encoder: EncoderStep
    calibration: CalibrationStep
    english_term_margin: float
    folds: int
    answered_accuracy: float


def read_config(path: Path) -> DepartmentConfig:
    """Raises OSError or pydantic.ValidationError."""
    return DepartmentConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
