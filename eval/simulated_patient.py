"""Patients made from vignettes, who answer what the interview asks and no more.

The patient opens with age, sex and the complaints. To a question for findings they answer from
the rest of the vignette, as our reader understands it: the clause that speaks of the finding, "no"
where it is denied or not mentioned. A vignette is a whole case, so what it leaves out is not there;
"not sure" would be untrue of somebody who simply does not have it. An open question gets the next
sentence or two of the story. Every reply is words, read by the same reader as anybody's.

The noisy patient leaves half of the questions unanswered ("not sure", or something beside the
point), says yes and no vaguely, and mixes up the order of words. Seeded by the row.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from eval.readers import Line
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.rules.facts import Facts, Severity
from models.text.findings import Reading
from models.triage.questions import BACKGROUND, OPEN
from models.triage.result import QuestionResult

_SENTENCE = re.compile(r"[^.!?]+(?:\.\d+[^.!?]*)*[.!?]?")
_CLAUSE = re.compile(r"[.;,!?]|\band\b|\bbut\b")
_EMPTY = re.compile(r"^\W*(?:none|nil|no|n/a)?\W*$", re.IGNORECASE)
_QUALITY = re.compile(r"^(onset|course|severity|duration)_of_(.+?)(?:_(over|under)_(\d+))?$")
_VOLUNTEERED = 2
"""Sentences that an open question gets."""
_NO_ANSWERS = (
    "I'm not sure.", "Hard to say.", "I just feel really unwell.", "It has been a bad week.",
)  # fmt: skip
"""Not knowing, and saying something beside the point."""
_BACKGROUND = frozenset({"condition", "medicine", "exposure"})
_MISSING = 0.5
"""How often the noisy patient leaves a question unanswered."""


@dataclass(frozen=True)
class Vignette:
    """The parts of a row that a patient knows; the diagnosis is not among them."""

    row: str
    first: str
    story: str
    denied: str
    background: tuple[str, ...]

    @property
    def whole(self) -> tuple[str, ...]:
        """Everything, as messages in order: full information."""
        return (self.first, *(t for t in (self.story, self.denied, *self.background) if t))


def vignette(line: Line) -> Vignette:
    """The vignette of a line; raises BenchmarkError where a field is missing."""
    extra = (line.text(f, optional=True) for f in ("physical_history", "social_history"))
    return Vignette(
        row=line.id,
        first=f"{line.text('demographics')}. {line.text('chief_complaints')}.",
        story=line.text("presentation", optional=True),
        denied=line.text("absent_findings", optional=True),
        background=tuple(text for text in extra if not _EMPTY.match(text)),
    )


class SimulatedPatient:
    """One patient. `facts` and `readings` are of the whole vignette."""

    def __init__(
        self, case: Vignette, facts: Facts, readings: Sequence[Reading], terms: Lexicon
    ) -> None:
        self._case = case
        self._facts = facts
        self._readings = readings
        self._terms = terms
        self._untold = [s.strip() for s in _SENTENCE.findall(case.story) if s.strip()]

    def opening(self) -> str:
        """The first message."""
        return self._case.first

    def reply(self, question: QuestionResult) -> str:
        """The answer to one question, in words."""
        if question.code == BACKGROUND:
            return self._background()
        if question.code in OPEN:
            return self._volunteer(_VOLUNTEERED)
        if question.code == "age":
            return "not sure" if self._facts.age_years is None else f"{self._facts.age_years:.0f}"
        if question.code == "sex":
            return "yes" if self._facts.sex == "female" else "no"
        quality = _QUALITY.match(question.code)
        if quality and not question.codes:
            return "yes" if self._holds(quality) else "no"
        said = [self._words(code) for code in question.codes if self._has(code)]
        return f"Yes, {'; '.join(dict.fromkeys(said))}" if said else "No."

    def _has(self, code: str) -> bool:
        observation = self._facts.observations.get(code)
        if observation is not None:
            return observation.status == "present"
        return code in self._facts.history

    def _holds(self, quality: re.Match[str]) -> bool:
        kind, code, side, hours = quality.groups()
        known = self._facts.observations.get(code)
        if known is None or known.status != "present":
            return False
        if kind == "onset":
            return known.sudden
        if kind == "course":
            return known.worsening
        if kind == "severity":
            return known.severity is Severity.severe
        length = known.duration_hours
        if length is None:
            return False
        return length >= float(hours) if side == "over" else length <= float(hours)

    def _words(self, code: str) -> str:
        """The clause that speaks of a finding, or its name where none does by itself."""
        base = re.sub(r"^(?:severe|sudden)_", "", code)
        wanted = {code, *self._terms.narrower(code)}
        for codes in (wanted, {base}):
            for reading in self._readings[1:]:
                for finding in reading.findings:
                    if finding.code in codes and finding.status == "present":
                        return _clause(reading.text, finding.start, finding.end)
        return self._terms[code].en

    def _background(self) -> str:
        """The fields of history, and what the story says of illnesses, exposures and bites."""
        told = {
            _clause(reading.text, finding.start, finding.end): None
            for reading in self._readings[1:2]
            for finding in reading.findings
            if finding.status == "present" and self._terms[finding.code].kind in _BACKGROUND
        }
        return ". ".join((*self._case.background, *told)) or "No."

    def _volunteer(self, sentences: int) -> str:
        told, self._untold = self._untold[:sentences], self._untold[sentences:]
        return " ".join(told) or "No, nothing else."


class NoisyPatient(SimulatedPatient):
    """The same patient, vague, muddled and silent half of the time."""

    def __init__(
        self, case: Vignette, facts: Facts, readings: Sequence[Reading], terms: Lexicon
    ) -> None:
        super().__init__(case, facts, readings, terms)
        self._random = random.Random(f"interview {case.row}")

    def reply(self, question: QuestionResult) -> str:
        """See the base class."""
        if self._random.random() < _MISSING:
            return self._random.choice(_NO_ANSWERS)
        said = super().reply(question)
        if question.code in OPEN:
            return self._muddled(said)
        if said.lower().startswith("yes"):
            vague = self._random.choice(("Kind of", "I think so", "Yeah", "A bit"))
            rest = said[3:].lstrip(", ")
            return f"{vague}, {self._muddled(rest)}" if rest else vague
        return self._random.choice(("Not really.", "I don't think so.", "Nope.", "No."))

    def _muddled(self, text: str) -> str:
        """Neighbouring words change places, one pair in five."""
        words = text.split()
        for i in range(len(words) - 1):
            if self._random.random() < 0.2:
                words[i], words[i + 1] = words[i + 1], words[i]
        return " ".join(words)


def _clause(text: str, start: int, end: int) -> str:
    """The clause around a span: up to the next mark, "and" or "but" on either side."""
    first = max((m.end() for m in _CLAUSE.finditer(text, 0, start)), default=0)
    last = _CLAUSE.search(text, end)
    return text[first : last.start() if last else len(text)].strip()
