"""The triage task: reads the case, lets the rules judge it, listens to two models.

`read` is the safety floor and needs no model: it answers inside the request, before any
queue. The learned urgency may raise what the rules said, the department model says where to go.
`finish` works without either, so a broken model never costs an emergency its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge_base.cards import Card, cards, cards_version
from knowledge_base.language import Language
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.lexicon.findings import COMPLAINTS, Lexicon, lexicon
from knowledge_base.rules.facts import Observation
from knowledge_base.rules.ruleset import RuleSet, Verdict, rules
from knowledge_base.rules.scale import dispositions
from models.backends import Tensors
from models.repository import ModelEntry
from models.tasks.department import DepartmentTask
from models.tasks.urgency import UrgencyTask
from models.triage.advice import advise, choose_cards
from models.triage.basis import basis_of, named_passages, rule_result
from models.triage.case import Case, CaseReader
from models.triage.conversation import asked
from models.triage.grounds import Grounds
from models.triage.interview import Interview, Situation, in_mental_distress
from models.triage.learned import Thresholds, hear
from models.triage.model_inputs import department_request, unasked_words
from models.triage.questions import Question, of_somebody_else
from models.triage.request import TriageRequest
from models.triage.result import (
    AI_LABEL,
    DepartmentResult,
    DispositionResult,
    QuestionResult,
    ReviewReason,
    ReviewResult,
    TriageResult,
)
from models.triage.routing import route, routing
from models.triage.views import finding_results, value_results

Outputs = Mapping[str, Tensors]
"""What each model returned, by its name."""
SELF_CARE, ROUTINE, URGENT, EMERGENCY = 5, 4, 3, 2
_UNSPECIFIC = frozenset({"pain", "itching", "swelling", "skin_redness", "lump", "well_otherwise"})
"""What goes with a minor complaint as a matter of course; severe forms have red flags."""
_MOST_DEPARTMENTS = 5


@dataclass(frozen=True)
class Judged:
    """A case with the verdict of the rules and the disposition that follows.

    `unsure`: the learned urgency heard something that is not enough to raise the answer.
    """

    case: Case
    verdict: Verdict
    level: int
    unsure: bool = False


class TriageTask:
    """See the module docstring: a task over two models instead of one."""

    def __init__(
        self,
        department: ModelEntry,
        urgency: ModelEntry | None = None,
        *,
        terms: Lexicon | None = None,
        rule_set: RuleSet | None = None,
        guideline_cards: Mapping[str, Card] | None = None,
    ) -> None:
        self._lexicon = terms or lexicon()
        self._rules = rule_set or rules()
        self._cards = cards() if guideline_cards is None else guideline_cards
        self._content = {
            "rules": self._rules.version,
            "lexicon": self._lexicon.version,
            "cards": cards_version(self._cards),
        }
        self._grounds = Grounds(self._cards, self._lexicon, self._rules)
        self._reader = CaseReader(self._lexicon, rule_set=self._rules)
        self._interview = Interview(self._rules, self._lexicon)
        self._department = DepartmentTask(department.manifest, department.folder)
        self._versions = {department.manifest.name: department.manifest.version}
        self._urgency: UrgencyTask | None = None
        if urgency is not None:
            self._urgency = UrgencyTask(urgency.manifest, urgency.folder)
            self._thresholds = Thresholds.of(urgency.manifest.thresholds)
            self._versions[urgency.manifest.name] = urgency.manifest.version

    def read(self, request: TriageRequest) -> Judged:
        """The case and the rules' verdict: the part that never waits for a model."""
        return self._judge(self._reader.read(request))

    def _judge(self, case: Case) -> Judged:
        verdict, _ = self._rules.judge_ages(case.facts, case.ages)
        level = verdict.disposition
        if level is None:
            # What is not understood is never "fine": a person looks today.
            level = ROUTINE if case.understood else URGENT
        if case.contradictions or (level == SELF_CARE and self._uncovered(case, verdict)):
            level = min(level, ROUTINE)
        return Judged(case, verdict, level)

    def heard(self, judged: Judged, outputs: Outputs) -> Judged:
        """The case judged again with what the learned urgency adds to it."""
        if self._urgency is None or self._urgency.model not in outputs:
            return judged
        found = self._urgency.finish(unasked_words(judged.case), outputs[self._urgency.model])
        heard = hear(found, self._thresholds, judged.level)
        if not heard.findings:
            return replace(judged, unsure=heard.unsure)
        facts = judged.case.facts
        added = dict.fromkeys(heard.findings, Observation("present"))
        case = replace(
            judged.case, facts=replace(facts, observations={**facts.observations, **added})
        )
        return replace(self._judge(case), unsure=True)

    def _uncovered(self, case: Case, verdict: Verdict) -> list[str]:
        """Complaints that no fired rule looked at: staying at home needs all to be minor."""
        looked_at = frozenset().union(*(rule.condition.findings() for rule in verdict.fired))
        return [
            code
            for code in case.present
            if self._lexicon[code].kind in COMPLAINTS
            and code not in _UNSPECIFIC
            and not looked_at & {code, *self._lexicon.implied(code)}
        ]

    def prepare(self, request: Judged) -> dict[str, Tensors]:
        """Tensors by model: the department's and, where there is one, the learned urgency's."""
        asked = {
            self._department.model: self._department.prepare(
                department_request(request.case, self._lexicon)
            )
        }
        if self._urgency is not None:
            asked[self._urgency.model] = self._urgency.prepare(unasked_words(request.case))
        return asked

    def finish(self, request: Judged, outputs: Outputs) -> TriageResult:
        """The answer; a model that could not be asked is missing in `outputs`."""
        request = self.heard(request, outputs)
        case, verdict = request.case, request.verdict
        language: Language = "en" if case.language == "en" else "zh"
        ranked, unsure = self._departments(request, outputs)
        chosen = choose_cards(
            self._cards,
            (r.text.card for r in verdict.fired),
            case.present,
            case.facts,
        )
        crisis = any(rule.crisis for rule in verdict.fired)
        fired = [rule_result(r, case, self._grounds) for r in verdict.fired]
        basis = basis_of(request.level, fired, case, chosen, self._grounds)
        advice = advise(case, verdict, request.level, chosen, self._lexicon, language)
        scale = dispositions()[request.level]
        reasons = _review_reasons(request, crisis, unsure)
        question = self._interview.next(
            _situation(request, crisis, ranked, unsure and self._department.model in outputs)
        )
        return TriageResult(
            label=AI_LABEL,
            language=language,
            disposition=DispositionResult(
                level=scale.level,
                code=scale.code,
                name=scale.name,
                action=scale.action,
                basis=basis,
            ),
            crisis=crisis,
            departments=ranked,
            department_unsure=unsure,
            red_flags=tuple(r for r in fired if r.disposition < ROUTINE),
            basis=tuple(r for r in fired if r.disposition >= ROUTINE),
            findings=tuple(finding_results(case, self._lexicon)),
            values=tuple(value_results(case)),
            contradictions=tuple(sorted(case.contradictions)),
            missing=_missing(case),
            next_question=None if question is None else _asked(question, case),
            advice=advice,
            passages=named_passages(fired, basis, advice, self._grounds, language),
            review=ReviewResult(required=bool(reasons), reasons=reasons),
            models={name: self._versions[name] for name in outputs},
            versions=self._content,
        )

    def _departments(
        self, judged: Judged, outputs: Outputs
    ) -> tuple[tuple[DepartmentResult, ...], bool]:
        rules_ = routing()
        given = outputs.get(self._department.model)
        if given is None:
            probabilities = {rules_.unsure: 1.0}
        else:
            found = self._department.finish(department_request(judged.case, self._lexicon), given)
            probabilities = {d.code: d.probability for d in found}
        routed = route(probabilities, judged.case.facts)
        ranked = sorted(routed.items(), key=lambda item: -item[1])[:_MOST_DEPARTMENTS]
        unsure = given is None or ranked[0][1] < self._department.unsure
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


def _review_reasons(judged: Judged, crisis: bool, unsure: bool) -> tuple[ReviewReason, ...]:
    reasons: list[ReviewReason] = []
    if crisis:
        reasons.append("crisis")
    if not judged.case.understood:
        reasons.append("not_understood")
    if judged.case.contradictions or judged.unsure or (unsure and judged.level == URGENT):
        reasons.append("low_confidence")
    return tuple(reasons)


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


def _asked(question: Question, case: Case) -> QuestionResult:
    """The question as it is sent, in words about the patient."""
    sent = asked(question)
    if not question.codes or not somebody_else(case):
        return sent
    return sent.model_copy(update={"text": of_somebody_else(question.text)})


def somebody_else(case: Case) -> bool:
    """Whether the patient is not who writes: what is there is a relative's, nothing one's own."""
    whose = {
        finding.experiencer
        for reading in case.readings
        for finding in reading.findings
        if finding.status == "present" and finding.temporality == "now"
    }
    return "relative" in whose and "self" not in whose


def _situation(
    judged: Judged, crisis: bool, ranked: Sequence[DepartmentResult], unsure: bool
) -> Situation:
    case = judged.case
    return Situation(
        facts=case.facts,
        present=case.present,
        level=judged.level,
        fired=judged.verdict.fired,
        asked=case.request.answers,
        understood=case.understood,
        crisis=crisis,
        psychiatric=in_mental_distress({d.code for d in ranked[:1]}, case.present),
        departments={d.code: d.probability for d in ranked} if unsure else {},
    )
