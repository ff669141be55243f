"""The triage task: reads the case, lets the rules judge it, ranks departments by the model.

`read` is the safety floor and needs no model: it answers inside the request, before any
queue. `finish` works without outputs too, so a broken model never costs an emergency its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge_base.cards import Card, cards
from knowledge_base.language import Language
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.rules.conditions import finding_truth
from knowledge_base.rules.ruleset import Rule, RuleSet, Verdict, rules
from knowledge_base.rules.scale import dispositions
from models.backends import Tensors
from models.manifest import Manifest
from models.tasks.department import DepartmentRequest, DepartmentTask
from models.triage.advice import choose_cards, passages
from models.triage.case import Case, CaseReader
from models.triage.questions import CHOICES, Question, next_question
from models.triage.request import TriageRequest
from models.triage.result import (
    AI_LABEL,
    AdviceResult,
    Choice,
    DepartmentResult,
    DispositionResult,
    FindingResult,
    QuestionResult,
    ReviewReason,
    ReviewResult,
    RuleResult,
    TriageResult,
    ValueResult,
)
from models.triage.routing import route, routing

SELF_CARE, ROUTINE, URGENT, EMERGENCY = 5, 4, 3, 2
_COMPLAINTS = frozenset({"symptom", "sign", "event", "exposure"})
_UNSPECIFIC = frozenset({"pain", "itching", "swelling", "skin_redness", "lump", "well_otherwise"})
"""What goes with a minor complaint as a matter of course; severe forms have red flags."""
_MOST_DEPARTMENTS = 5
_SHORT_TEXT = 40
"""Characters up to which a Chinese text is helped by the names of its findings."""


@dataclass(frozen=True)
class Judged:
    """A case with the verdict of the rules and the disposition that follows."""

    case: Case
    verdict: Verdict
    level: int


class TriageTask:
    """See the module docstring; `Task[Judged, TriageResult]`."""

    def __init__(
        self,
        department: Manifest,
        *,
        terms: Lexicon | None = None,
        rule_set: RuleSet | None = None,
        guideline_cards: Mapping[str, Card] | None = None,
    ) -> None:
        self._lexicon = terms or lexicon()
        self._rules = rule_set or rules()
        self._cards = cards() if guideline_cards is None else guideline_cards
        self._reader = CaseReader(self._lexicon)
        self._department = DepartmentTask(department)
        self._manifest = department

    @property
    def model(self) -> str:
        """The department model."""
        return self._manifest.name

    def read(self, request: TriageRequest) -> Judged:
        """The case and the rules' verdict: the part that never waits for a model."""
        case = self._reader.read(request)
        # Where several ages were stated, each might be the patient's: the worst one counts.
        verdict = min(
            (self._rules.judge(replace(case.facts, age_years=age)) for age in case.ages or (None,)),
            key=lambda v: v.disposition or ROUTINE,
        )
        level = verdict.disposition
        if level is None:
            # What is not understood is never "fine": a person looks today.
            level = ROUTINE if case.understood else URGENT
        if case.contradictions or (level == SELF_CARE and self._uncovered(case, verdict)):
            level = min(level, ROUTINE)
        return Judged(case, verdict, level)

    def _uncovered(self, case: Case, verdict: Verdict) -> list[str]:
        """Complaints that no fired rule looked at: staying at home needs all to be minor."""
        looked_at = frozenset().union(*(rule.condition.findings() for rule in verdict.fired))
        return [
            code
            for code in case.present
            if self._lexicon[code].kind in _COMPLAINTS
            and code not in _UNSPECIFIC
            and not looked_at & {code, *self._lexicon.implied(code)}
        ]

    def prepare(self, request: Judged) -> Tensors:
        """The department model's tensors: the patient's words and the findings' names."""
        return self._department.prepare(department_request(request.case, self._lexicon))

    def finish(self, request: Judged, outputs: Tensors | None) -> TriageResult:
        """The answer; `outputs` None stands for a model that could not be asked."""
        case, verdict = request.case, request.verdict
        language: Language = "en" if case.language == "en" else "zh"
        ranked, unsure = self._departments(request, outputs)
        chosen = choose_cards(self._cards, (r.text.card for r in verdict.fired), case.present)
        crisis = any(_is_crisis(rule) for rule in verdict.fired)
        red = tuple(self._rule(r, case) for r in verdict.fired if r.disposition < ROUTINE)
        scale = dispositions()[request.level]
        reasons = _review_reasons(request, crisis, unsure)
        question = next_question(case.facts, request.level, verdict.undecided, self._lexicon)
        return TriageResult(
            label=AI_LABEL,
            language=language,
            disposition=DispositionResult(
                level=scale.level, code=scale.code, name=scale.name, action=scale.action
            ),
            crisis=crisis,
            departments=ranked,
            department_unsure=unsure,
            red_flags=red,
            basis=tuple(self._rule(r, case) for r in verdict.fired if r.disposition >= ROUTINE),
            findings=tuple(self._findings(case)),
            values=tuple(_values(case)),
            contradictions=tuple(sorted(case.contradictions)),
            missing=_missing(case),
            next_question=None if question is None else _ask(question),
            advice=AdviceResult(
                now=verdict.fired[0].text.advice if verdict.fired else scale.action,
                watch_for=passages(chosen, "when_to_worry", language),
                self_care=passages(chosen, "self_care", language)
                if request.level > EMERGENCY
                else (),
            ),
            review=ReviewResult(required=bool(reasons), reasons=reasons),
            models={} if outputs is None else {self._manifest.name: self._manifest.version},
            versions={"rules": self._rules.version, "lexicon": self._lexicon.version},
        )

    def _departments(
        self, judged: Judged, outputs: Tensors | None
    ) -> tuple[tuple[DepartmentResult, ...], bool]:
        rules_ = routing()
        if outputs is None:
            probabilities = {rules_.unsure: 1.0}
        else:
            found = self._department.finish(department_request(judged.case, self._lexicon), outputs)
            probabilities = {d.code: d.probability for d in found}
        routed = route(probabilities, judged.case.facts)
        ranked = sorted(routed.items(), key=lambda item: -item[1])[:_MOST_DEPARTMENTS]
        unsure = outputs is None or ranked[0][1] < self._department.unsure
        first = rules_.emergency if judged.level <= EMERGENCY else rules_.unsure if unsure else None
        if first is not None:
            ranked = [
                (first, routed.get(first, 0.0)),
                *(item for item in ranked if item[0] != first),
            ][:_MOST_DEPARTMENTS]
        known = taxonomy()
        return tuple(
            DepartmentResult(
                code=code,
                name={"zh": known.departments[code].zh, "en": known.departments[code].en},
                parent={"zh": known.parent_of(code).zh, "en": known.parent_of(code).en},
                probability=round(p, 4),
            )
            for code, p in ranked
        ), unsure

    def _rule(self, rule: Rule, case: Case) -> RuleResult:
        return RuleResult(
            id=rule.id,
            version=rule.text.version,
            topic=rule.text.topic,
            disposition=rule.disposition,
            rationale=rule.text.rationale,
            advice=rule.text.advice,
            card=rule.text.card,
            findings=tuple(
                code
                for code in sorted(rule.condition.findings())
                if finding_truth(case.facts, code) is True or code in case.facts.history
            ),
            sources=rule.sources,
            checked=rule.text.checked,
        )

    def _findings(self, case: Case) -> Sequence[FindingResult]:
        return [
            FindingResult(
                code=finding.code,
                hpo=self._lexicon[finding.code].hpo,
                kind=self._lexicon[finding.code].kind,
                name={"zh": self._lexicon[finding.code].zh, "en": self._lexicon[finding.code].en},
                status=finding.status,
                experiencer=finding.experiencer,
                temporality=finding.temporality,
                severity=None if finding.severity is None else finding.severity.name,
                duration_hours=finding.duration_hours,
                message=number,
                start=finding.start,
                end=finding.end,
                text=finding.text,
            )
            for number, reading in enumerate(case.readings)
            for finding in reading.findings
        ]


def department_request(case: Case, terms: Lexicon) -> DepartmentRequest:
    """What the department model reads: the words and, where they help, the findings' names.

    English is understood through the Chinese names alone, and a few Chinese words gain by
    them; a long Chinese text says more by itself, and names added to it cost accuracy.
    """
    text = " ".join(case.request.texts)
    named = case.language == "en" or len(text) <= _SHORT_TEXT
    return DepartmentRequest(text, tuple(terms[c].zh for c in case.present) if named else ())


def _is_crisis(rule: Rule) -> bool:
    """An emergency of the mind: self-harm, violence, psychosis. A human must be reached."""
    return rule.text.topic == "mental_health" and rule.disposition <= EMERGENCY


def _review_reasons(judged: Judged, crisis: bool, unsure: bool) -> tuple[ReviewReason, ...]:
    reasons: list[ReviewReason] = []
    if crisis:
        reasons.append("crisis")
    if not judged.case.understood:
        reasons.append("not_understood")
    if judged.case.contradictions or (unsure and judged.level == URGENT):
        reasons.append("low_confidence")
    return tuple(reasons)


def _values(case: Case) -> list[ValueResult]:
    measured = case.request.vitals.numbers()
    return [
        ValueResult(name=name, value=v, origin="measured" if measured.get(name) == v else "stated")
        for name, v in sorted(case.facts.values.items())
    ]


def _missing(case: Case) -> tuple[str, ...]:
    facts = case.facts
    missing = []
    if facts.age_years is None:
        missing.append("age")
    if facts.sex is None:
        missing.append("sex")
    if facts.sex == "female" and facts.pregnant is None and 12 <= (facts.age_years or 30) <= 55:
        missing.append("pregnancy")
    if not facts.values:
        missing.append("vitals")
    return tuple(missing)


def _ask(question: Question) -> QuestionResult:
    return QuestionResult(
        code=question.code,
        text={"zh": question.zh, "en": question.en},
        choices=tuple(
            Choice(value=value, name={"zh": names["zh"], "en": names["en"]})
            for value, names in CHOICES
        ),
        reason=question.rule.text.rationale,
        rule=question.rule.id,
    )
