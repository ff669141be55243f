"""Settings of the acuity trainer, read from `training/configs/acuity.yaml`."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LinearStep(_Strict):
    """Ordinal logistic regression on standardised features: its cost C."""

    cost: float


class ForestStep(_Strict):
    """Extremely randomised trees: least rows of a leaf, share of features tried at a split."""

    trees: int
    leaf: int
    features: float


class BoostingStep(_Strict):
    """Gradient boosting; `features` and `rows` are the shares drawn for a tree."""

    rounds: int
    rate: float
    depth: int
    leaf: int
    features: float
    rows: float


class ModelConfig(_Strict):
    """One model: where its rows come from and how it learns.

    `most_under`: the under-triage within which the cost of answering too low is chosen.
    """

    name: str
    title: dict[str, str]
    sets: tuple[str, ...] = Field(min_length=1)
    truth: str
    folds: int = Field(ge=2)
    most_under: float
    linear: LinearStep
    forest: ForestStep
    boosting: BoostingStep


class AcuityConfig(_Strict):
    """All settings; `repeats` of the outer cross-validation, each with its own folds."""

    seed: int
    repeats: int = Field(ge=1)
    inner_folds: int = Field(ge=2)
    under_costs: tuple[float, ...] = Field(min_length=1)
    coverage: float = Field(gt=0, lt=1)
    models: dict[str, ModelConfig]


def read_config(path: Path) -> AcuityConfig:
    """Raises OSError or pydantic.ValidationError."""
    return AcuityConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
