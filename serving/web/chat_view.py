"""The chat's conversation as the page shows it, from what the consult keeps.

Holds back what patients never see: probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge_base.language import Bilingual, Language

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
    """One thing understood. `mark` is present, absent, past or relative."""

    name: Bilingual
    mark: str


@dataclass(frozen=True)
class Answer:
    """The server's turn. `number` counts answers from 1 and names the page's anchor."""

    number: int
    level: int
    language: Language
    name: Bilingual
    action: Bilingual
    now: Bilingual
    crisis: bool
    understood: bool
    reasons: tuple[Bilingual, ...]
    departments: tuple[Mapping[str, Bilingual], ...]
    department_unsure: bool
    watch_for: tuple[Mapping[str, Any], ...]
    self_care: tuple[Mapping[str, Any], ...]
    chips: tuple[Chip, ...]
    question: Bilingual | None
    question_reason: Bilingual | None

    who = "assistant"

    @property
    def alarm(self) -> bool:
        """Whether this is an emergency: levels 1 and 2."""
        return self.level <= 2


def conversation(state: Mapping[str, Any]) -> list[Said | Answer]:
    """All turns, oldest first."""
    shown: list[Said | Answer] = []
    question: Mapping[str, Any] | None = None
    answers = 0
    for turn in state["turns"]:
        if turn["role"] == "patient":
            shown.append(_said(turn, question))
        else:
            answers += 1
            question = turn["question"]
            shown.append(_answer(turn, answers))
    return shown


def _said(turn: Mapping[str, Any], question: Mapping[str, Any] | None) -> Said:
    if turn["answer"] is None or question is None:
        return Said(turn["text"])
    names = {choice["value"]: choice["name"] for choice in question["choices"]}
    return Said(turn["text"], question["text"], names.get(turn["answer"]))


def _answer(turn: Mapping[str, Any], number: int) -> Answer:
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
        reasons=tuple(flag["rationale"] for flag in turn["red_flags"]),
        departments=_departments(turn["departments"]),
        department_unsure=turn["department_unsure"],
        watch_for=tuple(advice["watch_for"]),
        self_care=tuple(advice["self_care"]),
        chips=_chips(turn["findings"]),
        question=None if question is None else question["text"],
        question_reason=None if question is None else question["reason"],
    )


def _departments(ranked: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Bilingual], ...]:
    """The first, and others that are likely enough to help: names only."""
    return tuple(
        {"name": d["name"], "parent": d["parent"]}
        for place, d in enumerate(ranked)
        if place == 0 or d["probability"] >= LIKELY
    )


def _chips(findings: Sequence[Mapping[str, Any]]) -> tuple[Chip, ...]:
    """Each thing once: the last that was said of it counts."""
    last: dict[str, Chip] = {}
    for finding in findings:
        mark = finding["status"]
        if finding.get("temporality") == "past":
            mark = "past"
        elif finding.get("experiencer", "self") == "family":
            mark = "relative"
        last[finding["name"]["en"]] = Chip(finding["name"], mark)
    return tuple(last.values())
