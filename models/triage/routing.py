"""Department routing by age, sex and pregnancy, over the model's probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import knowledge_base.lexicon
from knowledge_base.rules.facts import Facts
from knowledge_base.yaml_files import read_yaml


class Routing(BaseModel):
    """The rules of routing.yaml, which says what each list is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    child_max_age: float
    newborn_max_age: float
    child: dict[str, tuple[str, ...]]
    newborn: str
    adult: dict[str, tuple[str, ...]]
    male_never: tuple[str, ...]
    female_never: tuple[str, ...]
    pregnant: dict[str, tuple[str, ...]]
    unsure: str
    emergency: str


@lru_cache(maxsize=1)
def routing() -> Routing:
    """The shipped routing rules, read once."""
    folder = Path(knowledge_base.lexicon.__file__).parent
    return Routing.model_validate(read_yaml(folder / "routing.yaml"))


def route(probabilities: Mapping[str, float], facts: Facts) -> dict[str, float]:
    """Probabilities by department code moved to where this patient is seen; they sum to one."""
    rules = routing()
    moved = dict(probabilities)
    age = facts.age_years
    if age is not None and age < rules.newborn_max_age:
        for target in rules.child:
            _move(moved, {rules.newborn: rules.child[target]})
        _move(moved, {rules.newborn: ("general_paediatrics",)})
    elif age is not None and age < rules.child_max_age:
        _move(moved, rules.child)
    elif age is not None:
        _move(moved, rules.adult)
    if facts.pregnant:
        _move(moved, rules.pregnant)
    if facts.sex == "male":
        _drop(moved, rules.male_never)
    if facts.sex == "female":
        _drop(moved, rules.female_never)
    total = sum(moved.values())
    if total <= 0:
        return {rules.unsure: 1.0}
    return {code: p / total for code, p in moved.items() if p > 0}


def _move(moved: dict[str, float], moves: Mapping[str, tuple[str, ...]]) -> None:
    for target, sources in moves.items():
        for source in sources:
            moved[target] = moved.get(target, 0.0) + moved.pop(source, 0.0)


def _drop(moved: dict[str, float], codes: tuple[str, ...]) -> None:
    for code in codes:
        moved.pop(code, None)
