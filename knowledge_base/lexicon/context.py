"""The cue words of context.yaml: negation, doubt, time, experiencer, severity."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from knowledge_base.yaml_files import read_yaml

FILE = Path(__file__).parent / "context.yaml"


class SeverityCues(BaseModel):
    """Words for each grade of severity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severe: tuple[str, ...]
    moderate: tuple[str, ...]
    mild: tuple[str, ...]


class HappeningCues(BaseModel):
    """Words that say of a named illness that it is there this moment, or that it is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: tuple[str, ...]
    after: tuple[str, ...]
    over_before: tuple[str, ...]
    over_after: tuple[str, ...]
    asks: tuple[str, ...]


class Cues(BaseModel):
    """One language's cue words; what each list is for is said in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fillers: tuple[str, ...]
    modifiers: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    pseudo_negation: tuple[str, ...]
    double_negation: tuple[str, ...]
    negation: tuple[str, ...]
    negation_bridge: tuple[str, ...] = ()
    list_negation: tuple[str, ...] = ()
    list_marks: tuple[str, ...]
    post_negation: tuple[str, ...]
    question: tuple[str, ...]
    worry: tuple[str, ...]
    about_after: tuple[str, ...]
    about_before: tuple[str, ...]
    stated: tuple[str, ...]
    unknown: tuple[str, ...]
    past: tuple[str, ...]
    ongoing: tuple[str, ...]
    family: tuple[str, ...]
    relatives: tuple[str, ...]
    family_after: tuple[str, ...]
    others: tuple[str, ...]
    fiction: tuple[str, ...]
    nobody: tuple[str, ...]
    harms: tuple[str, ...]
    supposed: tuple[str, ...]
    own_part: tuple[str, ...]
    first_person: tuple[str, ...]
    terminators: tuple[str, ...]
    severity: SeverityCues
    happening: HappeningCues
    sudden: tuple[str, ...]
    gradual: tuple[str, ...]
    worsening: tuple[str, ...]
    improving: tuple[str, ...]
    comes_and_goes: tuple[str, ...]
    recurrent: tuple[str, ...]
    constant: tuple[str, ...]
    acquaintances: tuple[str, ...]
    for_oneself: tuple[str, ...]
    own_check: tuple[str, ...]
    at_once: tuple[str, ...]
    asked_about: tuple[str, ...]
    answered_no: tuple[str, ...]
    vaccine_before: tuple[str, ...]
    vaccine_after: tuple[str, ...]
    vaccine_between: tuple[str, ...]
    shot_before: tuple[str, ...]
    shot_after: tuple[str, ...]
    named_for_shots: tuple[str, ...]
    females: tuple[str, ...]
    males: tuple[str, ...]


@lru_cache(maxsize=1)
def last_year_over() -> int:
    """The last year of which a date is read as past, read once."""
    return TypeAdapter(int).validate_python(read_yaml(FILE)["last_year_over"])


@lru_cache(maxsize=1)
def cues() -> dict[str, Cues]:
    """Cue words by language, read once."""
    data = read_yaml(FILE)
    return {language: Cues.model_validate(data[language]) for language in ("zh", "en")}


@lru_cache(maxsize=1)
def vaccine_prevented() -> frozenset[str]:
    """The diseases that a vaccine prevents, by code: only these may be named for one."""
    return frozenset(TypeAdapter(list[str]).validate_python(read_yaml(FILE)["vaccine_prevented"]))
