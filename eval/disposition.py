"""The disposition benchmark: does triage send people where they belong, and who is sent too low?

Runs the whole triage task, rules and department model, on every case, and counts under-triage
and over-triage together: a safety rate alone is won by escalating everybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eval.classes import confusion
from eval.dispositions import UrgencyRow, urgency_row
from eval.estimates import Estimate, share
from eval.progress import track
from eval.readers import Line
from eval.result import Details, Miss, Scored
from models.repository import ModelRepository
from models.triage.local import LocalTriage
from models.triage.result import TriageResult

EMERGENCY, URGENT, ROUTINE = 2, 3, 4
_LEVELS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class Answered:
    """A case with the level that triage gave and the ids of the rules that fired."""

    row: UrgencyRow
    level: int
    rules: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """The level agrees with the truth."""
        return self.level in self.row.agreeing

    @property
    def under(self) -> bool:
        """Less urgent than any level that agrees."""
        return self.level > max(self.row.agreeing)

    @property
    def over(self) -> bool:
        """More urgent than any level that agrees."""
        return self.level < min(self.row.agreeing)


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Triage every line; raises BenchmarkError for a line in no known format."""
    rows = [urgency_row(line) for line in lines]
    triage = LocalTriage(repository)
    answers: list[Answered] = []
    versions: dict[str, str] = {}
    for row in track(rows, len(rows), "disposition"):
        result = triage(row.request)
        versions = result.versions
        answers.append(Answered(row, result.disposition.level, _fired(result)))
    return Scored(
        n=len(rows),
        estimates=estimates(answers),
        models={**triage.versions, **versions},
        details=_details(answers),
    )


def estimates(answers: Sequence[Answered]) -> dict[str, Estimate]:
    """Every metric with Wilson's interval; nan where no row has the truth that it needs.

    The escalation pair is for rows with tiers or levels: em / ne / sc says too little.
    """
    emergencies = [a for a in answers if a.row.emergency]
    tiered = [a for a in answers if a.row.tiered]
    found = {
        "accuracy": share([a.right for a in answers]),
        "emergency_recall": share([a.level <= EMERGENCY for a in emergencies]),
        "emergency_missed": share([a.level > EMERGENCY for a in emergencies]),
        "under_triage": share([a.under for a in answers]),
        "over_triage": share([a.over for a in answers]),
    }
    if tiered:
        escalate = [a for a in tiered if max(a.row.agreeing) <= URGENT]
        stay = [a for a in tiered if min(a.row.agreeing) >= ROUTINE]
        found["escalation_recall"] = share(
            [a.level <= (EMERGENCY if a.row.emergency else URGENT) for a in escalate]
        )
        found["escalation_specificity"] = share([a.level >= ROUTINE for a in stay])
    return found


def _fired(result: TriageResult) -> tuple[str, ...]:
    return tuple(rule.id for rule in (*result.red_flags, *result.basis))


def _details(answers: Sequence[Answered]) -> Details:
    counts = Counter(a.row.truth for a in answers)
    urgency = {a.row.truth: min(a.row.agreeing) for a in answers}
    truths = sorted(counts, key=lambda t: urgency[t])
    dropped = sum(len(a.row.dropped) for a in answers)
    under = sorted((a for a in answers if a.under), key=lambda a: (min(a.row.agreeing), a.row.row))
    return Details(
        data=(", ".join(f"{counts[t]} {t}" for t in truths) + ".",),
        method=(
            "Each case goes through the triage task: red-flag and disposition rules, then the "
            "department model. Complaint and history are two messages, in this order.",
            "em and critical agree with levels 1-2, urgent with 3, ne with 3-4, routine with 4-5, "
            "sc with 5; emergency_missed is the share of em or critical answered 3-5.",
        ),
        warnings=(f"{dropped} vital signs beyond what can be measured were left out.",)
        if dropped
        else (),
        confusion=confusion(
            [a.row.truth for a in answers], [str(a.level) for a in answers], truths, _LEVELS
        ),
        misses=tuple(
            Miss(a.row.row, a.row.truth, str(a.level), ", ".join(a.rules) or "no rule fired")
            for a in under
        ),
        misses_title="Every under-triaged case, with the rules that fired",
    )
