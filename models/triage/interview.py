"""The interview: which question comes next, and when there is none left worth asking.

Life threats come first by their weight. What was said, denied or asked before is never asked
again. It ends at once on an ambulance case or a crisis, and otherwise when no answer could
plausibly change the urgency; nobody in mental distress leaves without the question for suicide.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from knowledge_base.interview.data import Group, groups
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.rules.conditions import finding_truth
from knowledge_base.rules.facts import Facts, Status
from knowledge_base.rules.ruleset import Rule, RuleSet
from models.triage.places import telling_finding
from models.triage.questions import (
    ANYTHING_ELSE,
    BACKGROUND,
    DESCRIBE,
    MORE,
    STORY,
    SUICIDE_RISK,
    WORST,
    Question,
    about_finding,
    about_group,
    about_person,
    about_place,
    about_quality,
    about_suicide_risk,
    open_question,
)
from models.triage.value_of_information import Inquiry, Worth
from models.triage.ways import Ways

_AMBULANCE, _EMERGENCY = 1, 2
_WORTHWHILE = 0.7
"""Below this a question is not worth a patient's time: about one chance in 30 of an ambulance."""
_WORTHWHILE_UNTOLD = 0.25
"""The same for who tells little by themselves: what is not told has to be asked."""
_STRONG = 3.0
"""Above this a question goes before the open one."""
_MOST_SHOWN = 8
"""Findings in one question: more are not read."""
_OF_THE_MIND = frozenset({"psychiatry", "psychology"})
_DISTRESS = frozenset(
    {
        "depressed_mood", "hopelessness", "anhedonia", "self_harm", "suicide_plan",
        "suicide_attempt", "hearing_voices", "command_hallucinations", "delusions",
        "manic_symptoms", "postpartum_depression", "postpartum_psychosis", "panic_attack",
        "domestic_violence", "sexual_assault", "eating_disorder_behaviour",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """What the interview looks at: the facts, what came of them and what was asked.

    `asked` are keys of questions asked before, with the answer; `understood` says whether a
    complaint was recognised, `psychiatric` whether the first department or a finding is one of
    the mind. `departments` are probabilities by code, empty where the model is sure.
    """

    facts: Facts
    present: tuple[str, ...]
    level: int
    fired: tuple[Rule, ...]
    asked: Mapping[str, Status]
    understood: bool
    crisis: bool
    psychiatric: bool
    departments: Mapping[str, float]


class Interview:
    """Chooses questions over one set of rules and one lexicon. Pure and thread-safe."""

    def __init__(self, rule_set: RuleSet, terms: Lexicon) -> None:
        self._terms = terms
        self._ways = Ways(rule_set)

    def next(self, now: Situation) -> Question | None:
        """The next question, or None when the interview is over."""
        if now.level == _AMBULANCE or now.crisis:
            return None
        if not now.understood and DESCRIBE not in now.asked:
            return open_question(DESCRIBE)
        if now.psychiatric and needs_suicide_check(now.facts, now.asked):
            return about_suicide_risk()
        inquiry = Inquiry(self._ways, self._terms, now.facts, now.present, frozenset(now.asked))
        worths = inquiry.worths(now.level, now.fired)
        chosen, value = self._best(worths, now)
        wide = _open_question(now)
        if wide is not None and value < _STRONG and now.level > _EMERGENCY:
            return open_question(wide)
        least = _WORTHWHILE_UNTOLD if _told_little(now) else _WORTHWHILE
        return chosen if value >= least else self._place(now)

    def _place(self, now: Situation) -> Question | None:
        """A question for the department where the urgency is settled and the model is not sure."""
        if now.level <= _EMERGENCY or not now.departments:
            return None
        code = telling_finding(now.departments, now.facts, now.asked, self._terms)
        return None if code is None else about_place(code, self._terms)

    def _best(self, worths: Mapping[str, Worth], now: Situation) -> tuple[Question | None, float]:
        """The question with the greatest summed worth: a group's is that of its open members."""
        singles = sorted(worths, key=lambda key: (-worths[key].value, key))[:1]
        total = worths[singles[0]].value if singles else 0.0
        pick: tuple[Group, tuple[str, ...]] | None = None
        for group in groups():
            if group.when and not any(finding_truth(now.facts, code) for code in group.when):
                continue
            codes = _shown(group, worths)
            value = sum(worths[code].value for code in codes)
            if len(codes) > 1 and value > total:
                pick, total = (group, codes), value
        if pick is not None:
            group, codes = pick
            rule = worths[codes[0]].rule
            return about_group(group, codes, self._terms, rule, now.level), total
        if not singles:
            return None, 0.0
        return self._single(singles[0], worths[singles[0]], now.level), total

    def _single(self, key: str, worth: Worth, level: int) -> Question:
        if key in ("age", "sex"):
            return about_person(key, worth.rule, level)
        if worth.atom.quality and key == worth.atom.key:
            return about_quality(worth.atom, self._terms, worth.rule, level)
        return about_finding(key, self._terms, worth.rule, level)


def _shown(group: Group, worths: Mapping[str, Worth]) -> tuple[str, ...]:
    """The group's members that are worth asking for, what is most dangerous by itself first."""
    open_ = [code for code in group.of if code in worths and worths[code].value > 0]
    best = sorted(open_, key=lambda code: -worths[code].value)[:_MOST_SHOWN]
    return tuple(sorted(best, key=lambda code: (worths[code].alone, -worths[code].value)))


def _open_question(now: Situation) -> str | None:
    """The story, "anything else?", the background; then in other words for who told little."""
    for key in (STORY, ANYTHING_ELSE, BACKGROUND):
        if key not in now.asked:
            return key
    again = (WORST, MORE) if _told_little(now) else ()
    return next((key for key in again if key not in now.asked), None)


def _told_little(now: Situation) -> bool:
    """Whether an open question stayed without an answer."""
    return "unknown" in (now.asked.get(STORY), now.asked.get(ANYTHING_ELSE))


def in_mental_distress(first_department: Collection[str], present: Iterable[str]) -> bool:
    """Whether the case is one of the mind, by its first department or by a finding."""
    return bool(_OF_THE_MIND.intersection(first_department)) or bool(
        _DISTRESS.intersection(present)
    )


def needs_suicide_check(facts: Facts, asked: Iterable[str]) -> bool:
    """Whether nothing was said yet of suicide, one way or the other."""
    known = facts.observations.get(SUICIDE_RISK)
    return SUICIDE_RISK not in asked and (known is None or known.status == "unknown")
