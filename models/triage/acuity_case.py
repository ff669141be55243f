"""From an acuity request to all that is known: findings, red flags, scores, presentations.

Uses the reader and the rules of triage, so that both see the same patient. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.rules.presentations import Presentation, Presentations, presentations
from knowledge_base.rules.ruleset import RuleSet, Verdict, rules
from knowledge_base.rules.scores import (
    GradeResult,
    Measurements,
    ScoreResult,
    Scores,
    scores,
)
from models.text.normalise import normalise
from models.triage.acuity_request import AcuityRequest
from models.triage.case import Case, CaseReader
from models.triage.request import TriageRequest, Vitals

_NOTHING = "-"
"""Stands for a note without words: triage reads a text, even an empty-handed one."""


@dataclass(frozen=True)
class AcuityCase:
    """One patient as understood. `note` is the normalised text with abbreviations spelled out."""

    request: AcuityRequest
    note: str
    case: Case
    verdict: Verdict
    measured: Measurements
    presents: tuple[Presentation, ...]
    scores: Scores

    @cached_property
    def news2(self) -> ScoreResult:
        """NEWS2 of the measurements."""
        return self.scores.news2.evaluate(self.measured)

    @cached_property
    def qsofa(self) -> ScoreResult:
        """qSOFA."""
        return self.scores.qsofa.evaluate(self.measured)

    @cached_property
    def mews(self) -> ScoreResult:
        """MEWS."""
        return self.scores.mews.evaluate(self.measured)

    @cached_property
    def china(self) -> GradeResult:
        """China's level by single measurements."""
        return self.scores.china.evaluate(self.measured)

    @cached_property
    def danger(self) -> GradeResult:
        """ESI danger zone vital signs."""
        return self.scores.esi_danger.evaluate(self.measured)

    @property
    def values(self) -> Mapping[str, float]:
        """Every value, stated or measured."""
        return self.measured.values

    @property
    def understood(self) -> bool:
        """Whether a finding or a presentation was recognised in the words."""
        return self.case.understood or bool(self.presents)


class AcuityReader:
    """Reads requests with one lexicon, one rule set and the shipped scores. Pure, thread-safe."""

    def __init__(
        self,
        terms: Lexicon | None = None,
        rule_set: RuleSet | None = None,
        known: Presentations | None = None,
        bedside: Scores | None = None,
    ) -> None:
        self._rules = rule_set or rules()
        self._cases = CaseReader(terms or lexicon(), rule_set=self._rules)
        self._presentations = known or presentations()
        self._scores = bedside or scores()

    @property
    def versions(self) -> dict[str, str]:
        """Versions of everything that the answer rests on besides the model."""
        return {
            "rules": self._rules.version,
            "scores": self._scores.version,
            "presentations": self._presentations.version,
        }

    def read(self, request: AcuityRequest) -> AcuityCase:
        """The case of a request; of several stated ages the one with the worst verdict counts."""
        spelled = self._presentations.spelled_out(normalise(request.text))
        case = self._cases.read(_as_triage(request, spelled))
        verdict, age = self._rules.judge_ages(case.facts, case.ages)
        measured = request.measurements(dict(case.facts.values))
        present = {c for c, o in case.facts.observations.items() if o.status == "present"}
        return AcuityCase(
            request=request,
            note=spelled,
            case=case,
            verdict=verdict,
            measured=replace(measured, age_years=age, pregnant=case.facts.pregnant),
            presents=self._presentations.recognise(spelled, present | case.facts.history),
            scores=self._scores,
        )


def _as_triage(request: AcuityRequest, spelled: str) -> TriageRequest:
    """The same patient for the triage reader: the nurse's own words, and spelled out."""
    said = request.text.strip() or _NOTHING
    texts = (said, spelled) if spelled.strip() and spelled != normalise(said) else (said,)
    vitals = request.vitals
    return TriageRequest(
        messages=texts,
        language=request.language,
        age_years=request.age_years,
        sex=request.sex,
        pregnant=request.pregnant,
        vitals=Vitals(**vitals.numbers(), consciousness=vitals.consciousness),
    )
