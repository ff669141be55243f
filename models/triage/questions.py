"""The questions of the interview in words: what is asked, the quick replies, the reason for asking.

A question has a key, under which its answer is kept: a finding's code, or the key of something
else (`onset_of_headache`, `age`, `anything_else`) that no finding is called. It never names a
disease as the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from knowledge_base.interview.data import Group, wordings
from knowledge_base.language import Bilingual
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.lexicon.questions import questions
from knowledge_base.rules.facts import Status
from knowledge_base.rules.ruleset import Rule
from models.triage.ways import Atom

DESCRIBE, STORY, BACKGROUND = "describe", "story", "background"
ANYTHING_ELSE, WORST, MORE = "anything_else", "worst_now", "anything_more"
GREETED, UNWELL = "greeted", "unwell"
OPEN = frozenset({DESCRIBE, STORY, BACKGROUND, ANYTHING_ELSE, WORST, MORE, GREETED, UNWELL})
"""Keys of questions without choices for findings: the patient tells."""
_NOTHING_TO_TELL = OPEN - {STORY, WORST}
"""Open questions that "no" answers: nothing is wrong, nothing else, no illness."""
SUICIDE_RISK = "suicidal_ideation"
_URGENT, _ROUTINE = 3, 4


@dataclass(frozen=True)
class Answer:
    """A quick reply. `code` is the finding that it names; `says` are the words it stands for."""

    value: Status
    name: Bilingual
    code: str | None = None
    says: Bilingual | None = None


@dataclass(frozen=True)
class Question:
    """One question. `codes` are the findings that it asks for, none where it is open."""

    key: str
    text: Bilingual
    codes: tuple[str, ...]
    answers: tuple[Answer, ...]
    reason: Bilingual
    rule: str | None = None


def _choices(
    *, present: Bilingual | None = None, absent: Bilingual | None = None
) -> tuple[Answer, ...]:
    names = wordings().choices
    return (
        Answer("present", names["present"], says=present),
        Answer("absent", names["absent"], says=absent),
        Answer("unknown", names["unknown"]),
    )


def about_finding(code: str, terms: Lexicon, rule: Rule | None, level: int) -> Question:
    """Whether the patient has one finding."""
    known = questions().get(code)
    if known is None:
        text = _filled(wordings().finding, zh=terms[code].zh, en=terms[code].en)
    else:
        text = {"zh": known.zh, "en": known.en}
    return Question(code, text, (code,), _choices(), reason(rule, level), _id(rule))


def about_group(
    group: Group, codes: tuple[str, ...], terms: Lexicon, rule: Rule | None, level: int
) -> Question:
    """Which of several findings the patient has; the first code is what matters most."""
    words = wordings()
    answers = (
        *(Answer("present", {"zh": terms[c].zh, "en": terms[c].en}, code=c) for c in codes),
        Answer("absent", words.none_of_these),
        Answer("unknown", words.choices["unknown"]),
    )
    text: Bilingual = {"zh": group.zh, "en": group.en}
    return Question(group.id, text, codes, answers, reason(rule, level), _id(rule))


def about_quality(atom: Atom, terms: Lexicon, rule: Rule | None, level: int) -> Question:
    """How something that the patient has began, goes on, how bad or how long it is."""
    assert atom.code is not None
    assert atom.key is not None
    kind, hours = atom.kind, 0.0
    if isinstance(atom.bound, float):
        kind = "duration_over" if atom.bound > 0 else "duration_under"
        hours = abs(atom.bound)
    asked = wordings().qualities[kind]
    names = {"zh": terms[atom.code].zh, "en": terms[atom.code].en}
    length = {f"hours_{k}": v for k, v in length_of(hours).items()}
    # What a yes says must lie beyond the bound: over 3 days is said as 4.
    said = {f"hours_{k}": v for k, v in length_of(_beyond(hours, kind)).items()}
    return Question(
        atom.key,
        _filled(asked.ask, **names, **length),
        (),
        _choices(present=_filled(asked.says, **names, **said)),
        reason(rule, level),
        _id(rule),
    )


def about_person(key: str, rule: Rule | None, level: int) -> Question:
    """The patient's age or sex."""
    words = wordings()
    if key == "age":
        unknown = Answer("unknown", words.choices["unknown"])
        return Question(key, words.age.ask, (), (unknown,), reason(rule, level), _id(rule))
    choices = _choices(present=words.sex.present, absent=words.sex.absent)
    return Question(key, words.sex.ask, (), choices, reason(rule, level), _id(rule))


def open_question(key: str) -> Question:
    """A question without choices but "nothing" and "not sure"."""
    words = wordings()
    answers: tuple[Answer, ...] = (Answer("unknown", words.choices["unknown"]),)
    if key in _NOTHING_TO_TELL:
        answers = (Answer("absent", words.choices["absent"]), *answers)
    return Question(key, words.open[key], (), answers, words.why["whole"])


def about_suicide_risk() -> Question:
    """Asked of everybody in mental distress before the interview may end."""
    words = wordings()
    return Question(
        SUICIDE_RISK, words.suicide_risk, (SUICIDE_RISK,), _choices(), words.why["care"]
    )


def about_place(code: str, terms: Lexicon) -> Question:
    """A finding that tells departments apart."""
    asked = about_finding(code, terms, None, _URGENT)
    return replace(asked, reason=wordings().why["place"])


def reason(rule: Rule | None, level: int) -> Bilingual:
    """Why a question is asked: how soon help may be needed, and what it is about."""
    words = wordings()
    if rule is None:
        return words.why["today"] if level <= _URGENT else words.why["home"]
    urgency = (
        "soon" if rule.disposition < _URGENT else "today" if rule.disposition < _ROUTINE else "home"
    )
    why, about = words.why[urgency], words.about.get(rule.text.topic)
    if about is None:
        return {"zh": f"{why['zh']}。", "en": f"{why['en']}."}
    return {"zh": f"{why['zh']}（{about['zh']}）。", "en": f"{why['en']} ({about['en']})."}


def length_of(hours: float) -> Bilingual:
    """A number of hours as people say it."""
    if hours < 48:
        return {"zh": f"{hours:.0f}小时", "en": f"{hours:.0f} hours"}
    if hours < 24 * 28:
        return {"zh": f"{hours / 24:.0f}天", "en": f"{hours / 24:.0f} days"}
    return {"zh": f"{hours / 168:.0f}周", "en": f"{hours / 168:.0f} weeks"}


def _beyond(hours: float, kind: str) -> float:
    """A length just inside what a yes claims."""
    step = 24.0 if hours >= 48 else 1.0
    if hours >= 24 * 28:
        step = 168.0
    return hours + step if kind == "duration_over" else max(1.0, hours - step)


_AFTER_WHICH_THEM = (
    "to|on|at|of|for|with|around|near|about|make|made|makes|hurt|attacked|threatened|hit|telling|"
    "after|before|worries"
)
"""Words after which the patient is the one whom something happens to."""
_VERB = "had|have|were|are|did|do|got|ate|took|began|came|started"
_THEIRS = (
    (re.compile(r"\byourself\b"), "themselves"),
    (re.compile(r"\byours\b"), "theirs"),
    (re.compile(r"\byour\b"), "their"),
    (re.compile(r"\bYour\b"), "Their"),
    (re.compile(rf"\b({_AFTER_WHICH_THEM}) you\b(?! (?:{_VERB})\b)"), r"\1 them"),
    (re.compile(r"\byou\b"), "they"),
    (re.compile(r"\bYou\b"), "They"),
)


def of_somebody_else(text: Bilingual) -> Bilingual:
    """The question about a third person. The Chinese questions name nobody and stay."""
    english = text["en"]
    for pattern, theirs in _THEIRS:
        english = pattern.sub(theirs, english)
    return {"zh": text["zh"], "en": english}


def _filled(template: Bilingual, **parts: str) -> Bilingual:
    return {"zh": template["zh"].format(**parts), "en": template["en"].format(**parts)}


def _id(rule: Rule | None) -> str | None:
    return None if rule is None else rule.id
