"""Conditions of rules, evaluated in Kleene's three-valued logic: True, False, None (unknown).

A condition parses from one-key mappings of the rule files into a small tree. `evaluate`
never guesses: what was not said is None, so a rule knows what it would still need to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from knowledge_base.rules.facts import Facts, Severity
from knowledge_base.yaml_files import ContentError

Truth = bool | None

VALUE_NAMES = frozenset(
    {
        "heart_rate", "respiratory_rate", "systolic_bp", "diastolic_bp", "temperature_c",
        "spo2", "glucose_mmol_l", "pain_score", "gestation_weeks",
    }
)  # fmt: skip


class Condition(Protocol):
    """A node of the tree."""

    def evaluate(self, facts: Facts) -> Truth:
        """True, False or, where the facts do not say, None."""
        ...

    def findings(self) -> frozenset[str]:
        """Codes of the findings and history items that it looks at."""
        ...


def all_of(truths: Iterable[Truth]) -> Truth:
    """Kleene conjunction."""
    result: Truth = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def any_of(truths: Iterable[Truth]) -> Truth:
    """Kleene disjunction."""
    result: Truth = False
    for truth in truths:
        if truth is True:
            return True
        if truth is None:
            result = None
    return result


def inverse(truth: Truth) -> Truth:
    """Kleene negation."""
    return None if truth is None else not truth


@dataclass(frozen=True)
class Test:
    """A leaf: a question to the facts, with the codes that it looks at."""

    ask: Callable[[Facts], Truth]
    codes: frozenset[str] = frozenset()

    def evaluate(self, facts: Facts) -> Truth:
        return self.ask(facts)

    def findings(self) -> frozenset[str]:
        return self.codes


@dataclass(frozen=True)
class Group:
    """all, any, none or at_least over members."""

    combine: Callable[[Iterable[Truth]], Truth]
    members: tuple[Condition, ...]

    def evaluate(self, facts: Facts) -> Truth:
        # Most rules concern nothing that this patient spoke of: their truth is known before.
        if self._of_findings_alone and self._codes.isdisjoint(facts.known):
            return self._of_nobody
        return self.combine(m.evaluate(facts) for m in self.members)

    def findings(self) -> frozenset[str]:
        return self._codes

    @cached_property
    def _codes(self) -> frozenset[str]:
        return frozenset().union(*(m.findings() for m in self.members))

    @cached_property
    def _of_findings_alone(self) -> bool:
        return all(
            m._of_findings_alone if isinstance(m, Group) else bool(m.findings())
            for m in self.members
        )

    @cached_property
    def _of_nobody(self) -> Truth:
        """The truth where no finding of it was mentioned."""
        return self.combine(m.evaluate(Facts()) for m in self.members)


def _none_of(truths: Iterable[Truth]) -> Truth:
    # An exception to a rule must be known to hold: "unknown" does not silence a red flag.
    return not any(truth is True for truth in truths)


def _at_least(n: int) -> Callable[[Iterable[Truth]], Truth]:
    def combine(truths: Iterable[Truth]) -> Truth:
        listed = list(truths)
        true = sum(t is True for t in listed)
        if true >= n:
            return True
        return None if true + sum(t is None for t in listed) >= n else False

    return combine


def finding_truth(facts: Facts, code: str) -> Truth:
    """Whether the patient has a finding now."""
    observation = facts.observations.get(code)
    if observation is None or observation.status == "unknown":
        return None
    return observation.status == "present"


def _present(code: str) -> Condition:
    return Test(lambda facts: finding_truth(facts, code), frozenset({code}))


def _absent(code: str) -> Condition:
    return Test(lambda facts: inverse(finding_truth(facts, code)), frozenset({code}))


def _history(code: str) -> Condition:
    def ask(facts: Facts) -> Truth:
        if code in facts.history:
            return True
        return finding_truth(facts, code)

    return Test(ask, frozenset({code}))


def _value(spec: Mapping[str, object]) -> Condition:
    name = str(spec["name"])
    if name not in VALUE_NAMES:
        raise ContentError(f"unknown value {name}")
    bounds: dict[str, Callable[[float, float], bool]] = {
        "below": lambda v, b: v < b,
        "at_most": lambda v, b: v <= b,
        "above": lambda v, b: v > b,
        "at_least": lambda v, b: v >= b,
    }
    tests = [(bounds[k], float(str(b))) for k, b in spec.items() if k != "name"]
    if not tests:
        raise ContentError(f"value {name} has no bound")

    def ask(facts: Facts) -> Truth:
        value = facts.values.get(name)
        return None if value is None else all(test(value, bound) for test, bound in tests)

    return Test(ask)


def _age(spec: Mapping[str, object]) -> Condition:
    low = float(str(spec.get("min", 0)))
    high = float(str(spec.get("max", "inf")))

    def ask(facts: Facts) -> Truth:
        return None if facts.age_years is None else low <= facts.age_years < high

    return Test(ask)


def _consciousness(levels: object) -> Condition:
    wanted = frozenset(map(str, levels if isinstance(levels, list) else [levels]))

    def ask(facts: Facts) -> Truth:
        return None if facts.consciousness is None else facts.consciousness in wanted

    return Test(ask)


def _attribute(name: str, wanted: object) -> Condition:
    def ask(facts: Facts) -> Truth:
        value = getattr(facts, name)
        return None if value is None else value == wanted

    return Test(ask)


def _severity(spec: Mapping[str, object]) -> Condition:
    code, least = str(spec["finding"]), Severity[str(spec["at_least"])]

    def ask(facts: Facts) -> Truth:
        truth = finding_truth(facts, code)
        if truth is not True:
            return truth
        stated = facts.observations[code].severity
        return None if stated is None else stated >= least

    return Test(ask, frozenset({code}))


def _duration(spec: Mapping[str, object]) -> Condition:
    code = str(spec["finding"])
    least = float(str(spec.get("at_least_hours", 0)))
    most = float(str(spec.get("at_most_hours", "inf")))

    def ask(facts: Facts) -> Truth:
        truth = finding_truth(facts, code)
        if truth is not True:
            return truth
        hours = facts.observations[code].duration_hours
        return None if hours is None else least <= hours <= most

    return Test(ask, frozenset({code}))


def _quality(name: str, code: str) -> Condition:
    def ask(facts: Facts) -> Truth:
        truth = finding_truth(facts, code)
        if truth is not True:
            return truth
        return True if getattr(facts.observations[code], name) else None

    return Test(ask, frozenset({code}))


def parse_condition(data: object) -> Condition:
    """A condition from its one-key mapping; raises ContentError naming what is wrong."""
    if not isinstance(data, dict) or len(data) != 1:
        raise ContentError(f"a condition is a mapping with one key, not {data!r}")
    [(key, spec)] = data.items()
    if key in ("all", "any", "none", "at_least"):
        members = spec["of"] if key == "at_least" else spec
        if not isinstance(members, list) or not members:
            raise ContentError(f"{key} needs a list of conditions")
        parsed = tuple(map(parse_condition, members))
        combine = {
            "all": all_of, "any": any_of, "none": _none_of,
        }.get(key) or _at_least(int(spec["n"]))  # fmt: skip
        return Group(combine, parsed)
    mappings: dict[str, Callable[[Mapping[str, object]], Condition]] = {
        "value": _value, "age": _age, "severity": _severity, "duration": _duration,
    }  # fmt: skip
    if key in mappings:
        if not isinstance(spec, dict):
            raise ContentError(f"{key} needs a mapping")
        return mappings[key](spec)
    codes: dict[str, Callable[[str], Condition]] = {
        "present": _present,
        "absent": _absent,
        "history": _history,
        "sudden": lambda code: _quality("sudden", code),
        "worsening": lambda code: _quality("worsening", code),
    }
    if key in codes:
        return codes[key](str(spec))
    if key in ("sex", "pregnant", "postpartum"):
        return _attribute(key, spec)
    if key == "consciousness":
        return _consciousness(spec)
    raise ContentError(f"unknown condition {key}")
