"""What is misspelt in a condition although it parses. For the content check; judges no patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from knowledge_base.rules.facts import Consciousness, Sex

_KEYS = {
    "value": {"name", "below", "at_most", "above", "at_least"},
    "age": {"min", "max"},
    "severity": {"finding", "at_least"},
    "duration": {"finding", "at_least_hours", "at_most_hours"},
    "at_least": {"n", "of"},
}
_CHOICES: Mapping[str, tuple[object, ...]] = {
    "sex": get_args(Sex),
    "pregnant": (True, False),
    "postpartum": (True, False),
    "consciousness": get_args(Consciousness),
}


def condition_faults(when: object) -> Iterator[str]:
    """Misspelt keys and values that the parser lets pass: they silence a rule or widen it."""
    for key, spec in when.items() if isinstance(when, dict) else ():
        members = spec.get("of", []) if key == "at_least" and isinstance(spec, dict) else spec
        if key in ("all", "any", "none", "at_least"):
            for member in members:
                yield from condition_faults(member)
        if key in _KEYS:
            for strange in sorted(spec.keys() - _KEYS[key]):
                yield f"{key} has the unknown key {strange}"
            if len(spec) < (1 if key == "age" else 2):
                yield f"{key} says too little: {spec}"
        for value in spec if isinstance(spec, list) else [spec]:
            if key in _CHOICES and value not in _CHOICES[key]:
                yield f"{key} cannot be {value}"
