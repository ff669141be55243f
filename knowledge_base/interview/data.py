"""Reads the interview's data. Knows nothing of patients: who is asked what is the models' work."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.language import Bilingual
from knowledge_base.yaml_files import read_yaml

_FOLDER = Path(__file__).parent


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Frozen):
    """A question about several findings: `of` are their codes.

    `when` are findings of which the patient must have one for the words to fit; none: always.
    `goes_with` are complaints that make the group worth asking.
    """

    id: str
    zh: str = Field(pattern="？$")
    en: str = Field(pattern=r"\?$")
    of: tuple[str, ...] = Field(min_length=2)
    when: tuple[str, ...] = ()
    goes_with: tuple[str, ...] = ()


class _Groups(_Frozen):
    version: int
    groups: tuple[Group, ...]


class AgeBand(_Frozen):
    """Findings that only concern people of `min` to `max` years."""

    codes: frozenset[str]
    min: float
    max: float


class Only(_Frozen):
    """Whom a finding can concern, and how common conditions are from an age on."""

    version: int
    female: frozenset[str]
    male: frozenset[str]
    pregnant: frozenset[str]
    by_age: dict[str, AgeBand]
    prevalence: dict[str, dict[float, float]]


class _Companions(_Frozen):
    version: int
    companions: dict[str, dict[str, float]]


class _Places(_Frozen):
    version: int
    places: dict[str, dict[str, float]]


class Asked(_Frozen):
    """A template: the question, and the words that a yes stands for."""

    ask: Bilingual
    says: Bilingual


class AskedSex(_Frozen):
    """The question for the sex, and the words that a yes and a no stand for."""

    ask: Bilingual
    present: Bilingual
    absent: Bilingual


class Wordings(_Frozen):
    """See wording.yaml."""

    version: int
    choices: dict[str, Bilingual]
    none_of_these: Bilingual
    finding: Bilingual
    qualities: dict[str, Asked]
    not_asked: frozenset[str]
    age: Asked
    sex: AskedSex
    open: dict[str, Bilingual]
    suicide_risk: Bilingual
    why: dict[str, Bilingual]
    about: dict[str, Bilingual]


class ReplyWords(_Frozen):
    """The words of one language that answer a question, take back, ask back or are only polite.

    `meaning` are whole questions for what a word means, with X for that word. All lists hold
    regular expressions of normalised text (see replies.yaml).
    """

    present: tuple[str, ...]
    absent: tuple[str, ...]
    unknown: tuple[str, ...]
    asks_back: tuple[str, ...]
    meaning: tuple[str, ...]
    social: tuple[str, ...]
    corrects: tuple[str, ...]


class _Replies(_Frozen):
    version: int
    zh: ReplyWords
    en: ReplyWords


@lru_cache(maxsize=1)
def groups() -> tuple[Group, ...]:
    """Questions about several findings."""
    return _Groups.model_validate(read_yaml(_FOLDER / "groups.yaml")).groups


@lru_cache(maxsize=1)
def only() -> Only:
    """Whom a finding can concern."""
    return Only.model_validate(read_yaml(_FOLDER / "only.yaml"))


@lru_cache(maxsize=1)
def companions() -> dict[str, dict[str, float]]:
    """How often a finding goes with another, by the one that is known."""
    return _Companions.model_validate(read_yaml(_FOLDER / "companions.yaml")).companions


@lru_cache(maxsize=1)
def places() -> dict[str, dict[str, float]]:
    """How often a department's diseases have a finding, by department."""
    return _Places.model_validate(read_yaml(_FOLDER / "places.yaml")).places


@lru_cache(maxsize=1)
def wordings() -> Wordings:
    """Templates of questions and reasons."""
    return Wordings.model_validate(read_yaml(_FOLDER / "wording.yaml"))


@lru_cache(maxsize=1)
def reply_words() -> dict[str, ReplyWords]:
    """Words of replies by language."""
    read = _Replies.model_validate(read_yaml(_FOLDER / "replies.yaml"))
    return {"zh": read.zh, "en": read.en}
