"""How likely a finding is before anybody asked: by the complaint, by whom it can concern.

Rough on purpose. These numbers order questions and decide which are worth a patient's time;
no rule, no urgency and no department ever looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from knowledge_base.interview.data import companions, groups, only
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.rules.facts import Facts

_BASE = {
    "symptom": 0.004, "sign": 0.002, "state": 0.003, "condition": 0.006, "event": 0.002,
    "exposure": 0.002,
}  # fmt: skip
"""The chance of a finding that nothing points to."""
_NARROWER = 0.12
"""Of a special form of what the patient has: severe_headache where there is a headache."""
_CLASSIC = 0.02
"""Of what is asked for with a complaint as a matter of course, by groups.yaml."""
_NOTHING_KNOWN = 5.0
_UNSAID = 0.1
"""People name what is alarming at once; lists of diseases name what only a last stage has."""
LINKED = 0.03
"""At least, of a finding that a rule names beside one that the patient has."""
QUALITY = 0.2
"""That something sudden, severe, getting worse or of a certain length is so."""
_GROWN_UP = 40.0
_VAGUE = frozenset({"pain", "bleeding", "swelling", "infection", "injury", "skin_redness"})
"""Too broad to make one of their special forms likely."""


class Expectations:
    """Chances for one patient's facts."""

    def __init__(
        self, terms: Lexicon, facts: Facts, present: Iterable[str], alarms: frozenset[str]
    ) -> None:
        """`alarms` are findings that are an emergency by themselves."""
        self._alarms = alarms
        self._terms = terms
        self._facts = facts
        self._present = frozenset(present)
        known = companions()
        self._companions = [known[code] for code in self._present if code in known]
        self._classic = frozenset().union(
            *(_classics().get(code, frozenset()) for code in self._present)
        )
        # Where nothing is known to be there, anything may be.
        self._scale = 1.0 if self._present else _NOTHING_KNOWN

    def chance(self, code: str) -> float:
        """That the patient has the finding; 0 where it cannot concern them."""
        if not concerns(code, self._facts):
            return 0.0
        beside = max((shares.get(code, 0.0) for shares in self._companions), default=0.0)
        if code in self._alarms:
            beside *= _UNSAID
        special = (self._terms.implied(code) & self._present) - _VAGUE
        common = prevalence(code, self._facts.age_years)
        return max(
            _BASE.get(self._terms[code].kind, 0.0) * self._scale,
            common,
            beside,
            _CLASSIC if code in self._classic else 0.0,
            _NARROWER if special else 0.0,
        )


def prevalence(code: str, age_years: float | None) -> float:
    """How common a long-term condition is at an age; of an unknown age, in grown-ups."""
    bands = _prevalences().get(code)
    if bands is None:
        return 0.0
    age = _GROWN_UP if age_years is None else age_years
    return next((share for low, share in bands if age >= low), 0.0)


@lru_cache(maxsize=1)
def _prevalences() -> dict[str, list[tuple[float, float]]]:
    """By condition: from which age how many have it, the oldest first."""
    return {code: sorted(b.items(), reverse=True) for code, b in only().prevalence.items()}


@lru_cache(maxsize=1)
def _classics() -> dict[str, frozenset[str]]:
    """By complaint: what the groups that go with it ask for."""
    found: dict[str, set[str]] = {}
    for group in groups():
        for complaint in (*group.when, *group.goes_with):
            found.setdefault(complaint, set()).update(group.of)
    return {complaint: frozenset(codes) for complaint, codes in found.items()}


@lru_cache(maxsize=1)
def _bands() -> dict[str, tuple[float, float]]:
    return {code: (b.min, b.max) for b in only().by_age.values() for code in b.codes}


def concerns(code: str, facts: Facts) -> bool:
    """Whether a patient of this sex and age can have the finding; what is unknown excludes nobody.

    A pregnant patient is one only where she may be: an unknown pregnancy leaves it open.
    """
    whom, age, sex = only(), facts.age_years, facts.sex
    if code in whom.female and sex == "male":
        return False
    if code in whom.male and sex == "female":
        return False
    if code in whom.pregnant and facts.pregnant is not True:
        return False
    low, high = _bands().get(code, (0.0, 200.0))
    return age is None or low <= age <= high
