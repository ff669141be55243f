"""The questions that cards answer, as people put them: `content/questions/CARD.yaml`.

A guideline and a patient name one thing in different words; these questions stand between the two.
Search reads them beside the passages, and the text models learn from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.cards import FOR_PATIENTS, Card
from knowledge_base.language import Language
from knowledge_base.tokeniser import fold, has_han
from knowledge_base.yaml_files import ContentError, read_yaml

FOLDER = Path(__file__).parent / "content" / "questions"
_LEAST_FOR_PATIENTS = 2
"""Questions of each language that a passage for patients has; every other has one."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ask: str = Field(min_length=2, max_length=300)
    answers: tuple[str, ...] = Field(min_length=1, max_length=4)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: tuple[_Asked, ...]
    en: tuple[_Asked, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """`answers`: the ids of the passages that answer it, all of one card."""

    text: str
    language: Language
    answers: tuple[str, ...]


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of one card. Raises ContentError."""
    try:
        file = _File.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ContentError(f"{path.name}: {error}") from error
    return tuple(_questions(file.zh, "zh", path.stem)) + tuple(_questions(file.en, "en", path.stem))


def _questions(listed: tuple[_Asked, ...], language: Language, card: str) -> Iterator[Question]:
    for asked in listed:
        yield Question(asked.ask, language, tuple(f"{card}#{place}" for place in asked.answers))


@lru_cache(maxsize=1)
def questions() -> Mapping[str, tuple[Question, ...]]:
    """The shipped questions by card, read once."""
    return {path.stem: read_questions(path) for path in sorted(FOLDER.glob("*.yaml"))}


def question_problems(card: Card, asked: tuple[Question, ...]) -> Iterator[str]:
    """What is wrong with the questions of a card: each passage has some in both languages."""
    where = f"questions of {card.head.id}"
    passages = {p.id: p for p in card.passages}
    for question in asked:
        for answer in question.answers:
            if answer not in passages:
                yield f"{where}: there is no passage {answer}"
        if has_han(question.text) and question.language == "en":
            yield f"{where}: in the wrong language: {question.text}"
    texts = [fold(question.text) for question in asked]
    for text in {text for text in texts if texts.count(text) > 1}:
        yield f"{where}: twice: {text}"
    for language in ("zh", "en"):
        own = [answer for q in asked if q.language == language for answer in q.answers]
        for passage in passages.values():
            if passage.language != language:
                continue
            least = _LEAST_FOR_PATIENTS if passage.section in FOR_PATIENTS else 1
            if own.count(passage.id) < least:
                yield f"{where}: {passage.id} answers fewer than {least} in {language}"
