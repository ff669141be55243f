"""What the learned urgency adds to a case: findings that rules of their own know, never a level.

So it can only raise (design rule 1): rules add up to the worst, and no rule is undone by a
finding more. The thresholds are the manifest's, set by how many real complaints that the rules
call routine they would raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.tasks.urgency import Urgency

EMERGENCY, SAME_DAY, CRISIS = "possible_emergency", "possible_same_day", "possible_crisis"
"""Codes of the lexicon; the rules in `red_flags/learned.yaml` look at them."""
_SELF_CARE = 5


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from which the model speaks up, and from which a person looks.

    `strong`: from which it speaks up although a rule for home care looked for every danger sign
    that it knows and found none.
    """

    emergency: float
    strong: float
    urgent: float
    crisis: float
    look: float

    @classmethod
    def of(cls, thresholds: Mapping[str, float]) -> Thresholds:
        """From a manifest's thresholds."""
        return cls(
            **{
                name: thresholds[name]
                for name in ("emergency", "strong", "urgent", "crisis", "look")
            }
        )


@dataclass(frozen=True)
class Heard:
    """The findings that the model adds, and whether a person should look at the rest."""

    findings: tuple[str, ...]
    unsure: bool


def hear(urgency: Urgency, thresholds: Thresholds, level: int) -> Heard:
    """What the model's probabilities say at these thresholds of a case that the rules gave
    `level`."""
    _, emergency, same_day, _ = urgency.at_most
    home = level == _SELF_CARE
    said = {
        CRISIS: urgency.crisis >= thresholds.crisis,
        EMERGENCY: emergency >= (thresholds.strong if home else thresholds.emergency),
        SAME_DAY: same_day >= thresholds.urgent and not home,
    }
    return Heard(
        tuple(code for code, holds in said.items() if holds),
        unsure=not any(said.values()) and same_day >= thresholds.look,
    )
