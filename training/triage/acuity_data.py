"""Rows of the acuity sets as the task reads them: cases, features, levels, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge_base.rules.acuity_scales import acuity_scales
from models.triage.acuity_case import AcuityCase, AcuityReader
from models.triage.acuity_features import features
from models.triage.acuity_visits import visit_request
from training.text.readers import rows
from training.triage.acuity_config import ModelConfig

Levels = NDArray[np.int64]


@dataclass(frozen=True)
class AcuityData:
    """`features` float32 [N, F] and `levels` [N] from 0.

    `groups` [N]: rows that say the same are one group and never lie on both sides of a fold.
    """

    cases: tuple[AcuityCase, ...]
    features: NDArray[np.float32]
    levels: Levels
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.levels)


def read_data(model: ModelConfig, data_dir: Path, limit: int | None = None) -> AcuityData:
    """The rows of a model's sets; raises OSError where one is missing, ValueError for a bad row."""
    listed = [row for name in model.sets for row in rows(data_dir, name, limit)]
    reader = AcuityReader()
    cases = tuple(reader.read(visit_request(row)) for row in listed)
    said = [case.request.model_dump_json() for case in cases]
    first = {text: number for number, text in reversed(list(enumerate(said)))}
    return AcuityData(
        cases=cases,
        features=np.stack([features(case) for case in cases]),
        levels=np.asarray([_level(row, model.truth) for row in listed], dtype=np.int64) - 1,
        groups=np.asarray([first[text] for text in said], dtype=np.int64),
    )


def _level(row: Mapping[str, object], field: str) -> int:
    value = row.get(field)
    levels = acuity_scales()["esi"].levels
    if not isinstance(value, int) or value not in levels:
        raise ValueError(f"{field!r} must be 1 to {max(levels)}")
    return value
