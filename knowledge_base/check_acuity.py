"""The content check of acuity: scores, scales, presentations and floors, each with the others.

A floor that names a presentation, a band or a measurement which is not there would never hold,
and nobody would notice: here it is a problem. It never raises for bad content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import get_args

from knowledge_base.rules.acuity_scales import AcuityScale, read_acuity_scales
from knowledge_base.rules.condition_faults import condition_faults
from knowledge_base.rules.conditions import VALUE_NAMES
from knowledge_base.rules.facts import Consciousness
from knowledge_base.rules.floors import Floor, read_floors
from knowledge_base.rules.presentations import ACUITY, Presentations, read_presentations
from knowledge_base.rules.ruleset import FOLDER
from knowledge_base.rules.scores import Score, Scores, read_scores
from knowledge_base.yaml_files import attempt

_MEASURED = VALUE_NAMES | {"potassium_mmol_l"}
_STATES = {
    "consciousness": frozenset(get_args(Consciousness)),
    "on_oxygen": frozenset({"yes", "no"}),
}


def acuity_problems(concepts: Collection[str], folder: Path = FOLDER) -> list[str]:
    """Every problem of the acuity files under the rules' folder; `concepts` are finding codes."""
    problems: list[str] = []
    acuity = folder / ACUITY.name
    scores = attempt(problems, "scores", lambda: read_scores(folder))
    scales = attempt(problems, "acuity scales", lambda: read_acuity_scales(acuity))
    listed = attempt(problems, "presentations", lambda: read_presentations(acuity))
    floors = attempt(problems, "floors", lambda: read_floors(acuity))
    if scores is not None:
        problems += _score_problems(scores)
    for name, scale in (scales or {}).items():
        problems += _scale_problems(name, scale)
    if listed is not None:
        problems += _presentation_problems(listed, concepts)
    if scores is not None and scales is not None and listed is not None:
        for floor in floors or ():
            problems += _floor_problems(floor, scores, scales, listed, concepts)
    return problems


def _score_problems(scores: Scores) -> Iterator[str]:
    for score in (scores.news2, scores.qsofa, scores.mews):
        for part in score.parts:
            if part.name in _STATES:
                for state in sorted(_STATES[part.name] ^ part.codes.keys()):
                    yield f"{score.id}.yaml: {part.name}: {state} is missing or unknown"
            elif part.name not in _MEASURED:
                yield f"{score.id}.yaml: nothing measures {part.name}"
    for grade in (scores.china, scores.esi_danger):
        named = {*grade.needs, *(bound.name for line in grade.levels for bound in line.any)}
        for name in sorted(named - _MEASURED):
            yield f"{grade.id}.yaml: nothing measures {name}"


def _scale_problems(name: str, scale: AcuityScale) -> Iterator[str]:
    if list(scale.levels) != list(range(1, len(scale.levels) + 1)):
        yield f"scales.yaml: the levels of {name} are not 1, 2, 3 … in order"
    advised = [level.disposition for level in scale.levels.values()]
    if advised != sorted(advised):
        yield f"scales.yaml: a lower level of {name} has the more urgent disposition"


def _presentation_problems(listed: Presentations, concepts: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    for one in listed.listed:
        if one.id in seen:
            yield f"presentations.yaml: {one.id} is defined twice"
        seen.add(one.id)
        for code in one.findings:
            if code not in concepts:
                yield f"presentations.yaml: {one.id}: finding {code} is not in the lexicon"


def _floor_problems(
    floor: Floor,
    scores: Scores,
    scales: Mapping[str, AcuityScale],
    listed: Presentations,
    concepts: Collection[str],
) -> Iterator[str]:
    text = floor.text
    where = f"floors.yaml: {text.id}"
    for scale, level in text.level.items():
        if scale not in scales or level not in scales[scale].levels:
            yield f"{where}: there is no level {level} of {scale}"
    for name, bands in text.score.items():
        score = getattr(scores, name, None)
        known = {band.code for band in score.bands} if isinstance(score, Score) else set()
        for band in sorted(set(bands) - known):
            yield f"{where}: there is no band {band} of {name}"
    for one in sorted(set(text.presents) - {p.id for p in listed.listed}):
        yield f"{where}: there is no presentation {one}"
    yield from (f"{where}: {fault}" for fault in condition_faults(text.facts))
    for code in sorted(floor.condition.findings() if floor.condition else ()):
        if code not in concepts:
            yield f"{where}: finding {code} is not in the lexicon"
