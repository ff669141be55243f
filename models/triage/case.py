"""From a request to facts: what the patient has, had and denies, by the words and the numbers.

A finding once present is given up only for a clear later "no" in words, and the case then goes
to review; a question, a worry or a quick reply never takes it away. Of two values of one kind
the worse one counts, and every stated age is judged. Caution costs a review, never an emergency.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from knowledge_base.lexicon.findings import HISTORY, Lexicon
from knowledge_base.rules.facts import Facts, Observation, Severity, Sex
from knowledge_base.rules.ruleset import RuleSet, rules
from models.text.findings import Finding, Reader, Reading
from models.text.happening import is_said_alone
from models.text.normalise import LETTERS_PER_CHARACTER, is_cjk, normalise
from models.triage.experiencers import Experiencers
from models.triage.request import TriageRequest
from models.triage.stated_numbers import all_ages, worst_values

_FEVER_C = 38.0
"""Temperature from which fever is present (NICE NG143: 38 °C or higher)."""

_ROUTINE = 4
_BACKGROUND_KINDS = frozenset({"medicine", "state", "request"})
"""What a complaint is told against. Alone it is the complaint only where little else was said."""
_MOST_GREETING = 8
"""Chinese characters up to which words without a finding are a greeting, not a complaint."""
_MOST_UNREAD = 30
"""Chinese characters outside of findings up to which background alone explains a message."""


@dataclass(frozen=True)
class Case:
    """A request as understood: one reading per message, and the facts for the rules."""

    request: TriageRequest
    readings: tuple[Reading, ...]
    facts: Facts
    language: str
    contradictions: frozenset[str]
    ages: tuple[float, ...] = ()
    understood: bool = False
    """Whether the complaint was recognised, and not only a medicine beside unread words."""

    @property
    def present(self) -> tuple[str, ...]:
        """Codes of the findings that the patient has now and said so, in order of mention."""
        said = {f.code: None for r in self.readings for f in r.findings}
        said |= dict.fromkeys(self.request.answers)
        return tuple(
            code
            for code in said
            if code in self.facts.observations and self.facts.observations[code].status == "present"
        )


class CaseReader:
    """Builds cases with one lexicon. Pure and thread-safe."""

    def __init__(
        self, lexicon: Lexicon, reader: Reader | None = None, *, rule_set: RuleSet | None = None
    ) -> None:
        self._lexicon = lexicon
        self._reader = reader or Reader()
        self._rules = rule_set or rules()

    def read(self, request: TriageRequest) -> Case:
        """The case of a request.

        Where the speaker and a relative are both ill, the relative's diseases count if that makes
        it more urgent, and never otherwise.
        """
        readings = tuple(map(self._reader.read, request.texts))
        readings = tuple(map(self._happening, readings[:1])) + readings[1:]
        whose = Experiencers(readings, self._lexicon)
        apart = self._case(request, readings, whose, shared=False)
        if not whose.both:
            return apart
        shared = self._case(request, readings, whose, shared=True)
        return min(apart, shared, key=self._urgency)

    def _urgency(self, case: Case) -> int:
        """The level that the rules give; what no rule knows ranks as routine."""
        verdict, _ = self._rules.judge_ages(case.facts, case.ages)
        return verdict.disposition or _ROUTINE

    def _happening(self, reading: Reading) -> Reading:
        """A first message that says nothing but "heart attack" calls for help with one."""
        if len(reading.findings) != 1 or not reading.findings[0].is_of_now:
            return reading
        [named] = reading.findings
        acute = self._lexicon[named.code].acute
        text = normalise(reading.text)
        language = "zh" if reading.language == "zh" else "en"
        if acute is None or not is_said_alone(text, named.start, named.end, language):
            return reading
        return replace(reading, findings=(named, replace(named, code=acute)))

    def _case(
        self,
        request: TriageRequest,
        readings: tuple[Reading, ...],
        whose: Experiencers,
        *,
        shared: bool,
    ) -> Case:
        observations: dict[str, Observation] = {}
        history: set[str] = set()
        contradictions: set[str] = set()
        for reading in readings:
            said: dict[str, Observation] = {}
            for finding in reading.findings:
                if whose.is_history(finding, shared=shared):
                    history.add(finding.code)
                if not whose.counts(finding, shared=shared):
                    continue
                observation = _observe(finding)
                earlier = said.get(finding.code)
                if earlier and {earlier.status, observation.status} == {"present", "absent"}:
                    contradictions.add(finding.code)
                said[finding.code] = _merge(earlier, observation)
                for code in self._graded(finding):
                    said[code] = _merge(said.get(code), observation)
            for code, observation in said.items():
                observations[code] = _later(
                    code, observations.get(code), observation, contradictions
                )
        for code, status in request.answers.items():
            known = observations.get(code)
            if code not in self._lexicon:
                continue
            if known is not None and known.status == "present" and status != "present":
                contradictions.add(code)
            else:
                observations[code] = replace(known or Observation(status), status=status)
        history |= self._named([*request.conditions, *request.medicines])
        values = worst_values(request, readings, contradictions)
        ages = all_ages(request, readings)
        if len(ages) > 1:
            contradictions.add("age")
        if values.get("temperature_c", 0.0) >= _FEVER_C and "fever" in self._lexicon:
            observations["fever"] = replace(
                observations.get("fever", Observation("present")), status="present"
            )
        self._spread(observations)
        case = Case(
            request=request,
            readings=readings,
            facts=self._facts(request, readings, observations, history, values, ages),
            language=request.language or _language(readings),
            contradictions=frozenset(contradictions),
            ages=ages,
        )
        return replace(case, understood=self._understood(case))

    def _understood(self, case: Case) -> bool:
        kinds = {self._lexicon[code].kind for code in case.present}
        if kinds - _BACKGROUND_KINDS:
            return True
        told = any(
            (finding.status == "unknown" and self._lexicon[finding.code].kind in HISTORY)
            or self._is_past_illness(finding)
            for reading in case.readings
            for finding in reading.findings
        )
        return bool(kinds or told) and sum(map(_unread, case.readings)) <= _MOST_UNREAD

    def _is_past_illness(self, finding: Finding) -> bool:
        past = (finding.status, finding.temporality) == ("present", "past")
        return past and self._lexicon[finding.code].kind not in _BACKGROUND_KINDS

    def _graded(self, finding: Finding) -> list[str]:
        """The codes that the lexicon has for a stated grade: severe_headache, sudden_…"""
        if finding.status != "present":
            return []
        grades = {"severe_": finding.severity is Severity.severe, "sudden_": finding.sudden}
        return [
            g + finding.code
            for g, holds in grades.items()
            if holds and g + finding.code in self._lexicon
        ]

    def _named(self, names: Iterable[str]) -> set[str]:
        """Codes behind names of conditions and medicines, given as codes or words."""
        codes: set[str] = set()
        for name in names:
            if name in self._lexicon:
                codes.add(name)
            else:
                codes |= {f.code for f in self._reader.read(name).findings if f.status == "present"}
        return codes

    def _spread(self, observations: dict[str, Observation]) -> None:
        """A present finding makes the broader ones present; a denied one denies the narrower."""
        for code, observation in list(observations.items()):
            if observation.status == "present":
                denied = self._lexicon[code].negative_of
                if denied is not None:
                    observations.setdefault(denied, Observation("absent"))
                for broader in self._lexicon.implied(code):
                    known = observations.get(broader)
                    if known is None or known.status != "present":
                        observations[broader] = observation
        for code in [c for c, o in observations.items() if o.status == "absent"]:
            for narrower in self._lexicon.narrower(code):
                observations.setdefault(narrower, Observation("absent"))

    def _facts(
        self,
        request: TriageRequest,
        readings: tuple[Reading, ...],
        observations: dict[str, Observation],
        history: set[str],
        values: dict[str, float],
        ages: tuple[float, ...],
    ) -> Facts:
        stated_sex: Sex | None = next((r.sex for r in readings if r.sex is not None), None)
        pregnancy = observations.get("pregnancy")
        pregnant = request.pregnant
        if pregnant is None and pregnancy and pregnancy.status != "unknown":
            pregnant = pregnancy.status == "present"
        if pregnant is None and "gestation_weeks" in values:
            pregnant = True
        if pregnant:
            observations["pregnancy"] = Observation("present")
            history.add("pregnancy")
        postpartum = True if "postpartum" in history else None
        sex = request.sex or stated_sex
        if pregnant or postpartum:
            sex = "female"
        return Facts(
            age_years=ages[0] if ages else None,
            sex=sex,
            pregnant=pregnant,
            postpartum=postpartum,
            consciousness=request.vitals.consciousness,
            observations=observations,
            history=frozenset(history).union(*(self._lexicon.implied(c) for c in history)),
            values=values,
        )


def tells(reading: Reading) -> bool:
    """Whether a message may say what is the matter: it is more than a greeting."""
    return bool(reading.findings) or _unread(reading) > _MOST_GREETING


def _unread(reading: Reading) -> float:
    """How much of a text no finding explains, in Chinese characters."""
    covered = {place for f in reading.findings for place in range(f.start, f.end)}
    rest = [c for place, c in enumerate(reading.text) if place not in covered]
    chinese = sum(map(is_cjk, rest))
    return chinese + (sum(map(str.isalpha, rest)) - chinese) / LETTERS_PER_CHARACTER


def _observe(finding: Finding) -> Observation:
    return Observation(
        finding.status,
        finding.severity,
        finding.duration_hours,
        finding.sudden,
        finding.worsening,
    )


def _merge(earlier: Observation | None, later: Observation) -> Observation:
    """Two mentions in one message: present wins over absent, absent over unknown."""
    if earlier is None:
        return later
    order = {"present": 0, "absent": 1, "unknown": 2}
    first, second = sorted((earlier, later), key=lambda o: order[o.status])
    if first.status != second.status:
        return first
    severities = [s for s in (first.severity, second.severity) if s is not None]
    durations = [d for d in (first.duration_hours, second.duration_hours) if d is not None]
    return Observation(
        first.status,
        max(severities, default=None),
        durations[0] if durations else None,
        first.sudden or second.sudden,
        first.worsening or second.worsening,
    )


def _language(readings: tuple[Reading, ...]) -> str:
    """The language of the last message that has one."""
    return next((r.language for r in reversed(readings) if r.language != "unknown"), "unknown")


def _later(
    code: str, known: Observation | None, said: Observation, contradictions: set[str]
) -> Observation:
    """What holds after another message: a question takes nothing back, a clear "no" does."""
    if known is None or known.status == "unknown":
        return said
    if said.status == "unknown":
        return known
    if known.status == said.status:
        return _merge(known, said)
    if known.status == "present":
        contradictions.add(code)
    return said
