"""The acuity task: reads the case, asks the model for the scale, combines it with the floors.

`read` and `finish` without outputs need no model: floors, scores and caution always answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from knowledge_base.language import Language
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.acuity_scales import acuity_scales
from knowledge_base.rules.floors import Floor
from knowledge_base.rules.scale import dispositions
from knowledge_base.rules.scores import GradeResult, ScoreResult
from models.backends import Tensors
from models.calibration import Doubles, prediction_set, softmax
from models.errors import ModelIntegrityError
from models.manifest import Manifest
from models.triage.acuity import decide, least_cost, missing_of, spread
from models.triage.acuity_case import AcuityCase, AcuityReader
from models.triage.acuity_features import features, features_digest
from models.triage.acuity_request import AcuityRequest, Scale
from models.triage.acuity_result import (
    AcuityLevelResult,
    AcuityResult,
    DecidedBy,
    FloorResult,
    GradeReport,
    LevelProbability,
    PartResult,
    ScoreReport,
)
from models.triage.result import (
    AI_LABEL,
    DispositionResult,
    FindingResult,
    ReviewReason,
    ReviewResult,
)
from models.triage.views import finding_results, value_results

_WIDE = 2
"""Levels between the ends of a prediction set from which a person must look."""


@dataclass(frozen=True)
class AcuityQuestion:
    """A case and the scale on which it is asked."""

    case: AcuityCase
    scale: Scale


class AcuityTask:
    """See the module docstring; `Task[AcuityQuestion, AcuityResult]` of one model."""

    def __init__(self, manifest: Manifest, reader: AcuityReader | None = None) -> None:
        """Raises ModelIntegrityError where the model was learned on other features than these."""
        if int(manifest.preprocessing["features_digest"]) != features_digest():
            raise ModelIntegrityError(f"{manifest.name}: learned on other features; train it again")
        self._manifest = manifest
        self._reader = reader or AcuityReader()
        self._under_cost = manifest.thresholds["under_cost"]

    @property
    def model(self) -> str:
        """The model's name."""
        return self._manifest.name

    def read(self, request: AcuityRequest, scale: Scale) -> AcuityQuestion:
        """All that is known of the patient, before any model."""
        return AcuityQuestion(self._reader.read(request), scale)

    def prepare(self, request: AcuityQuestion) -> Tensors:
        """`features` float32 [1, F]."""
        return {"features": features(request.case)[None, :]}

    def probabilities(self, outputs: Tensors) -> Doubles:
        """Calibrated probabilities [5] of the levels."""
        found: Doubles = softmax(outputs["logits"], self._manifest.calibration.temperature)[0]
        return found

    def finish(self, request: AcuityQuestion, outputs: Tensors | None) -> AcuityResult:
        """The answer; `outputs` None stands for a model that could not be asked."""
        case, scale = request.case, request.scale
        known = acuity_scales()[scale]
        model_level, found, levels = self._asked(outputs)
        decision = decide(case, scale, self._manifest.name, model_level)
        level = known.levels[decision.level]
        # The red flags spoke of the same patient: the disposition is never below theirs.
        advised = dispositions()[min(level.disposition, case.verdict.disposition or 4)]
        reasons = _review_reasons(case, levels, outputs)
        language: Language = "en" if case.case.language == "en" else "zh"
        return AcuityResult(
            label=AI_LABEL,
            language=language,
            acuity=AcuityLevelResult(
                scale=scale, level=decision.level, name=level.name, minutes=level.minutes
            ),
            decided_by=DecidedBy(
                kind=decision.reason.kind, id=decision.reason.id, reason=decision.reason.text
            ),
            disposition=DispositionResult(
                level=advised.level, code=advised.code, name=advised.name, action=advised.action
            ),
            model_level=model_level,
            probabilities=found,
            prediction_set=levels,
            floors=tuple(_floor(f, case, scale) for f in decision.floors),
            news2=_score(case.news2),
            qsofa=_score(case.qsofa),
            mews=_score(case.mews),
            china=_grade(case.china),
            danger_vitals=_grade(case.danger),
            findings=_findings(case),
            presentations=tuple(p.name for p in case.presents),
            red_flags=tuple(r.id for r in case.verdict.fired if r.disposition <= _RED),
            values=tuple(value_results(case.case)),
            contradictions=tuple(sorted(case.case.contradictions)),
            missing=missing_of(case),
            review=ReviewResult(required=bool(reasons), reasons=reasons),
            models={} if outputs is None else {self._manifest.name: self._manifest.version},
            versions=self._reader.versions,
        )

    def _asked(
        self, outputs: Tensors | None
    ) -> tuple[int | None, tuple[LevelProbability, ...], tuple[int, ...]]:
        """The model's level, its probabilities and its prediction set."""
        if outputs is None:
            return None, (), ()
        found = self.probabilities(outputs)
        level = int(least_cost(found[None, :], self._under_cost)[0])
        conformal = self._manifest.conformal
        chosen = () if conformal is None else prediction_set(found, conformal)
        return (
            level,
            tuple(
                LevelProbability(level=i + 1, probability=round(float(p), 4))
                for i, p in enumerate(found)
            ),
            tuple(i + 1 for i in chosen),
        )


_RED = 3


def _review_reasons(
    case: AcuityCase, levels: tuple[int, ...], outputs: Tensors | None
) -> tuple[ReviewReason, ...]:
    reasons: list[ReviewReason] = []
    if any(rule.crisis for rule in case.verdict.fired):
        reasons.append("crisis")
    if not case.understood:
        reasons.append("not_understood")
    # An empty set: no level fits. A wide one: the model does not know.
    if outputs is None or not levels or spread(levels) >= _WIDE or case.case.contradictions:
        reasons.append("low_confidence")
    return tuple(reasons)


def _findings(case: AcuityCase) -> tuple[FindingResult, ...]:
    """Findings in the nurse's own words, and those that only the note spelled out gives."""
    found = list(finding_results(case.case, lexicon()))
    own = {f.code for f in found if f.message == 0}
    return tuple(f for f in found if f.message == 0 or f.code not in own)


def _floor(floor: Floor, case: AcuityCase, scale: Scale) -> FloorResult:
    return FloorResult(
        id=floor.text.id,
        level=floor.text.level[scale],
        rationale=floor.text.rationale,
        sources=tuple(case.scores.sources[key] for key in floor.text.sources),
        checked=floor.text.checked,
    )


def _score(result: ScoreResult) -> ScoreReport:
    band = result.band
    return ScoreReport(
        id=result.score.id,
        name=result.score.name,
        total=result.total,
        complete=result.complete,
        parts=tuple(
            PartResult(name=part.name, label=part.label, points=result.points.get(part.name))
            for part in result.score.parts
        ),
        missing=result.missing,
        band=None if band is None else band.code,
        meaning=None if band is None else band.meaning,
        minutes=None if band is None else band.minutes,
        refused=result.refused,
        checked=result.score.checked,
    )


def _grade(result: GradeResult) -> GradeReport:
    return GradeReport(
        id=result.grade.id,
        name=result.grade.name,
        level=result.level,
        because=result.because,
        missing=result.missing,
        refused=result.refused,
        checked=result.grade.checked,
    )
