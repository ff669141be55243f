"""How acuity is decided: floors from rules and scores, a learned level, and caution.

The answer is the most urgent of the three. The model chooses the level of least expected cost,
where answering too low costs more than too high; floors only raise; what nobody understood is never
of the two lowest levels. Pure: knows neither networks nor HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knowledge_base.language import Bilingual
from knowledge_base.rules.acuity_scales import AcuityScale, acuity_scales
from knowledge_base.rules.floors import Floor, Signs, floors
from models.triage.acuity_case import AcuityCase
from models.triage.acuity_request import Scale

Doubles = NDArray[np.float64]

CAUTION = 3
"""The least urgent level for a patient whom nothing and nobody understood."""
_CAUTIOUS: Bilingual = {
    "zh": "没有读懂主诉，先按紧急处理并请人复核。",
    "en": "The complaint was not understood: urgent until a person has looked.",
}
_MODEL: Bilingual = {
    "zh": "模型根据主诉、年龄和生命体征给出。",
    "en": "The model's answer from complaint, age and vital signs.",
}


@dataclass(frozen=True)
class Reason:
    """What set the level."""

    kind: Literal["floor", "model", "caution"]
    id: str
    text: Bilingual


@dataclass(frozen=True)
class Decision:
    """A level of the scale, what set it, and the floors that hold, the most urgent first."""

    level: int
    reason: Reason
    floors: tuple[Floor, ...]


def cost_matrix(levels: int, under_cost: float) -> Doubles:
    """Cost [truth, answer]: the distance in levels, times `under_cost` where answered too low."""
    truth, answer = np.mgrid[0:levels, 0:levels]
    distance = (answer - truth).astype(np.float64)
    cost: Doubles = np.where(distance > 0, under_cost * distance, -distance)
    return cost


def least_cost(probabilities: Doubles, under_cost: float) -> NDArray[np.int64]:
    """Levels [N] from 1 of least expected cost for probabilities [N, L]."""
    expected = probabilities @ cost_matrix(probabilities.shape[1], under_cost)
    level: NDArray[np.int64] = expected.argmin(axis=1).astype(np.int64) + 1
    return level


def holding(case: AcuityCase, scale: Scale) -> tuple[Floor, ...]:
    """The floors of a scale that hold for a case, the most urgent first."""
    results = {"news2": case.news2, "qsofa": case.qsofa, "mews": case.mews}
    signs = Signs(
        facts=case.case.facts,
        bands={name: r.band.code for name, r in results.items() if r.band is not None},
        china=case.china.level,
        presents=[p.id for p in case.presents],
        red_flag=case.verdict.disposition,
        nothing_measured=not (case.values.keys() - {"pain_score", "gestation_weeks"}),
    )
    found = [f for f in floors() if scale in f.text.level and f.holds(signs)]
    return tuple(sorted(found, key=lambda f: f.text.level[scale]))


def on_scale(level: int, scale: AcuityScale) -> int:
    """A model's level of five on this scale: China's fourth holds KTAS 4 and 5."""
    return min(level, scale.lowest)


def decide(case: AcuityCase, scale: Scale, model: str, model_level: int | None) -> Decision:
    """The most urgent of floors, model and caution; a floor as urgent as the model is named."""
    found = holding(case, scale)
    choices = [
        (f.text.level[scale], Reason("floor", f.text.id, f.text.rationale)) for f in found[:1]
    ]
    if model_level is not None:
        level = on_scale(model_level, acuity_scales()[scale])
        choices.append((level, Reason("model", model, _MODEL)))
    if not case.understood or model_level is None:
        choices.append((CAUTION, Reason("caution", "not-understood", _CAUTIOUS)))
    level, reason = min(choices, key=lambda choice: choice[0])
    return Decision(level, reason, found)


def missing_of(case: AcuityCase) -> tuple[str, ...]:
    """What a nurse would still want to know, the scores' measurements included."""
    wanted = {
        "age": case.measured.age_years,
        "sex": case.case.facts.sex,
        "consciousness": case.measured.consciousness,
    }
    unknown = [name for name, value in wanted.items() if value is None]
    for result in (case.news2, case.mews):
        unknown += [name for name in result.missing if name != "consciousness"]
    return tuple(dict.fromkeys(unknown))


def spread(prediction_set: Sequence[int]) -> int:
    """How many levels lie between the ends of a prediction set; 0 for one level, or none."""
    return max(prediction_set) - min(prediction_set) if prediction_set else 0
