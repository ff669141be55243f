"""The chat's conversation as the page shows it, from what the consult keeps.

Holds back what patients never see: probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge_base.language import Bilingual, Language
from serving.web.finding_words import DETAILS, details

LIKELY = 0.1
"""From which probability a department after the first is named to a patient."""


@dataclass(frozen=True)
class Said:
    """The patient's turn: words, and the quick reply with the question that it answers."""

    text: str
    question: Bilingual | None = None
    choice: Bilingual | None = None

    who = "patient"


@dataclass(frozen=True)
class Chip:
    """One thing understood. `mark` is present, absent, past or relative.

    `answered`: by a tick or a quick reply, not in words. `detail` says where it is, how it began
    and how it goes.
    """

    name: Bilingual
    mark: str
    detail: Bilingual | None = None
    answered: bool = False


@dataclass(frozen=True)
class Why:
    """One reason for the urgency, with the passages of cards that support it."""

    text: Bilingual
    passages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Answer:
    """The server's turn. `number` counts answers from 1 and names the page's anchor.

    `as_before`: what to watch for, when to come back and what to do oneself did not change.
    `greeting`: nothing was said yet but a greeting.
    """

    number: int
    level: int
    language: Language
    name: Bilingual
    action: Bilingual
    now: Bilingual
    crisis: bool
    understood: bool
    reasons: tuple[Why, ...]
    departments: tuple[Mapping[str, Bilingual], ...]
    department_unsure: bool
    watch_for: tuple[Mapping[str, Any], ...]
    self_care: tuple[Mapping[str, Any], ...]
    chips: tuple[Chip, ...]
    question: Bilingual | None
    question_reason: Bilingual | None
    explanation: Bilingual | None = None
    come_back: tuple[Mapping[str, Any], ...] = ()
    tell_the_doctor: tuple[str, ...] = ()
    as_before: bool = False
    greeting: bool = False

    who = "assistant"

    @property
    def told(self) -> tuple[Chip, ...]:
        """What is shown at once: all but the findings that a quick reply denied."""
        return tuple(c for c in self.chips if c not in self.denied)

    @property
    def denied(self) -> tuple[Chip, ...]:
        """Findings denied by a tick or a quick reply: often many at a time."""
        return tuple(c for c in self.chips if c.answered and c.mark == "absent")

    @property
    def alarm(self) -> bool:
        """Whether this is an emergency: levels 1 and 2."""
        return self.level <= 2


def conversation(state: Mapping[str, Any]) -> list[Said | Answer]:
    """All turns, oldest first."""
    shown: list[Said | Answer] = []
    before: Mapping[str, Any] | None = None
    answers = 0
    for turn in state["turns"]:
        if turn["role"] == "patient":
            shown.append(_said(turn, None if before is None else before["question"]))
        else:
            answers += 1
            shown.append(_answer(turn, answers, before))
            before = turn
    return shown


def _said(turn: Mapping[str, Any], question: Mapping[str, Any] | None) -> Said:
    if turn["answer"] is None or question is None:
        return Said(turn["text"])
    ticked = turn.get("findings", ())
    if ticked:
        names = [c["name"] for c in question["choices"] if c.get("code") in ticked]
        return Said(turn["text"], question["text"], _listed(names))
    return Said(turn["text"], question["text"], quick_replies(question).get(turn["answer"]))


def quick_replies(question: Mapping[str, Any]) -> dict[str, Bilingual]:
    """The buttons of a question by the answer that they give.

    Where yes and no have words of their own (female, male), those are clearer than yes and no.
    """
    choices = [c for c in question["choices"] if c.get("code") is None]
    decided = [c for c in choices if c["value"] != "unknown"]
    worded = len(decided) > 1 and all(c.get("says") for c in decided)
    return {c["value"]: (worded and c.get("says")) or c["name"] for c in choices}


def _listed(names: Sequence[Bilingual]) -> Bilingual:
    return {"zh": "、".join(n["zh"] for n in names), "en": ", ".join(n["en"] for n in names)}


def _answer(turn: Mapping[str, Any], number: int, before: Mapping[str, Any] | None) -> Answer:
    disposition, advice, question = turn["disposition"], turn["advice"], turn["question"]
    return Answer(
        number=number,
        level=disposition["level"],
        language=turn["language"],
        name=disposition["name"],
        action=disposition["action"],
        now=advice["now"],
        crisis=turn["crisis"],
        understood=turn["understood"],
        reasons=tuple(
            Why(flag["rationale"], tuple(flag.get("passages", ()))) for flag in turn["red_flags"]
        ),
        departments=_departments(turn["departments"]),
        department_unsure=turn["department_unsure"],
        watch_for=tuple(advice["watch_for"]),
        self_care=tuple(advice["self_care"]),
        chips=_chips(turn["findings"]),
        question=None if question is None else question["text"],
        question_reason=None if question is None else question["reason"],
        explanation=turn.get("explanation"),
        come_back=tuple(advice.get("come_back", ())),
        tell_the_doctor=tuple(advice.get("tell_the_doctor", ())),
        greeting=bool(turn.get("greeting")),
        as_before=before is not None and _advised(before) == _advised(turn),
    )


def _advised(turn: Mapping[str, Any]) -> list[object]:
    """What an answer advises: the same urgency with the same sentences is the same advice."""
    advice = turn["advice"]
    sentences = [advice.get(part) for part in ("watch_for", "come_back", "self_care")]
    return [turn["disposition"]["level"], turn["language"], *sentences]


def _departments(ranked: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Bilingual], ...]:
    """The first, and others that are likely enough to help: names only."""
    return tuple(
        {"name": d["name"], "parent": d["parent"]}
        for place, d in enumerate(ranked)
        if place == 0 or d["probability"] >= LIKELY
    )


def _chips(findings: Sequence[Mapping[str, Any]]) -> tuple[Chip, ...]:
    """Each thing once: the last that was said of it counts, with details said before."""
    last: dict[str, Chip] = {}
    for finding in findings:
        mark = finding["status"]
        if finding.get("temporality") == "past":
            mark = "past"
        elif finding.get("experiencer", "self") == "family":
            mark = "relative"
        name = finding["name"]
        before = last.get(name["en"])
        detail = details(name, {field: finding.get(field) for field in DETAILS})
        if detail is None and before is not None and before.mark == mark:
            detail = before.detail
        last[name["en"]] = Chip(
            name, mark, detail if mark == "present" else None, bool(finding.get("answered"))
        )
    return tuple(last.values())
