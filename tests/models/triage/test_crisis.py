"""Despair, violence and psychosis always reach a human, however they are worded.

The phrases are data beside this file, so that a clinician can read and extend them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from knowledge_base.yaml_files import read_yaml
from models.repository import ModelRepository
from models.tasks.triage import TriageTask
from models.triage.request import TriageRequest
from models.triage.result import TriageResult

PHRASES = read_yaml(Path(__file__).parent / "crisis_phrases.yaml")
CRISES: dict[str, list[str]] = PHRASES["crisis"]  # type: ignore[assignment]
HARMLESS: list[str] = PHRASES["harmless"]  # type: ignore[assignment]
FALSE_ALARMS_ALLOWED = 0.05


@lru_cache(maxsize=1)
def task() -> TriageTask:
    return TriageTask(ModelRepository().get("department"))


def answer(text: str) -> TriageResult:
    """The answer by the rules alone: a crisis never waits for a model."""
    return task().finish(task().read(TriageRequest(text=text)), {})


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{kind}: {text}") for kind in CRISES for text in CRISES[kind]]
)
def test_a_crisis_gets_the_crisis_answer_and_a_human(text: str) -> None:
    result = answer(text)
    assert result.crisis, [f.code for f in result.findings]
    assert result.disposition.level <= 2
    assert result.review.required
    assert "crisis" in result.review.reasons


def test_phrases_that_only_sound_like_a_crisis_are_none() -> None:
    alarms = [text for text in HARMLESS if answer(text).crisis]
    assert len(alarms) <= FALSE_ALARMS_ALLOWED * len(HARMLESS), alarms


def test_the_phrases_cover_both_languages_and_every_kind() -> None:
    phrases = [text for kind in CRISES.values() for text in kind]
    english = [text for text in phrases if text.isascii()]
    assert len(set(phrases)) == len(phrases) >= 120
    assert 0.35 <= len(english) / len(phrases) <= 0.65
    assert len(set(HARMLESS)) == len(HARMLESS) >= 40
    assert all(len(kind) >= 8 for kind in CRISES.values())
