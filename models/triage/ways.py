"""The ways in which a rule can come to hold: what would have to be true at the same time.

A rule's condition is written out once, as the list of its smallest sets of tests (its
disjunctive form), so that the interview sees at a glance which rules lack one answer only.
A `none` group stays whole, as one test that nobody can be asked for: it holds unless it is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import cast

from knowledge_base.rules.conditions import Condition, parse_condition
from knowledge_base.rules.ruleset import Rule, RuleSet

_EMERGENCY = 2
QUALITIES = frozenset({"sudden", "worsening", "severity", "duration"})
"""Tests of something that the patient has: how it began, goes on, how bad, how long."""


@dataclass(frozen=True, eq=False)
class Atom:
    """One test of a rule. `codes` are the findings it looks at, `key` what asks for it.

    `key` is a finding's code, the key of a quality (onset_of_headache) or of age and sex, or
    None for what a patient cannot be asked: a measured value, a grade of consciousness.
    """

    kind: str
    key: str | None
    code: str | None
    bound: float | str | None
    condition: Condition

    @property
    def quality(self) -> bool:
        """Whether it grades a finding rather than asks for one."""
        return self.kind in QUALITIES


@dataclass(frozen=True)
class Way:
    """Tests that together make the rule hold."""

    rule: Rule
    atoms: tuple[Atom, ...]


class Ways:
    """Every way of every red flag, by its tests; and what would spoil a milder rule."""

    def __init__(self, rule_set: RuleSet) -> None:
        self._atoms: dict[str, Atom] = {}
        ways = [
            Way(rule, atoms)
            for rule in rule_set.red_flags
            for atoms in self._expand(cast(Mapping[str, object], rule.text.when))
        ]
        self.alone = tuple(way for way in ways if len(_asking(way)) == 1)
        """Ways of one test: whatever the complaint, its answer decides."""
        self.alarms = frozenset(
            atom.key
            for way in self.alone
            for atom in way.atoms
            if atom.key is not None and way.rule.disposition <= _EMERGENCY
        )
        """What is an emergency by itself."""
        together: dict[Atom, list[Way]] = {}
        for way in ways:
            asking = _asking(way)
            for atom in asking if len(asking) > 1 else ():
                together.setdefault(atom, []).append(way)
        self.together: Mapping[Atom, tuple[Way, ...]] = {a: tuple(w) for a, w in together.items()}
        """Ways of several tests, by each of them."""
        self.by_code: dict[str, tuple[Atom, ...]] = {}
        for atom in self.together:
            if atom.code is not None:
                self.by_code[atom.code] = (*self.by_code.get(atom.code, ()), atom)
        self.spoilers = {rule.id: self._spoilers(rule) for rule in rule_set.dispositions}
        """By the id of a routine or self-care rule: what it must not find."""

    def _expand(self, node: Mapping[str, object]) -> set[tuple[Atom, ...]]:
        [(key, spec)] = node.items()
        if key == "none":
            return {(self._atom(node),)}
        if key in ("all", "any", "at_least"):
            members = [self._expand(member) for member in _members(key, spec)]
            if key == "any":
                return set().union(*members)
            size = len(members) if key == "all" else int(str(cast(dict[str, object], spec)["n"]))
            return {
                tuple(sorted({atom for part in choice for atom in part}, key=lambda a: repr(a.key)))
                for chosen in combinations(members, size)
                for choice in product(*chosen)
            }
        return {(self._atom(node),)}

    def _atom(self, node: Mapping[str, object]) -> Atom:
        """One object per test, so that equal tests are judged once."""
        name = repr(node)
        if name not in self._atoms:
            [(kind, spec)] = node.items()
            self._atoms[name] = _parse(kind, spec, parse_condition(node))
        return self._atoms[name]

    def _spoilers(self, rule: Rule) -> tuple[Atom, ...]:
        found = [self._atom({"present": code}) for code in rule.text.excludes]
        stack: list[tuple[Mapping[str, object], bool]] = [(rule.text.when, False)]
        while stack:
            node, denied = stack.pop()
            [(key, spec)] = node.items()
            if key in ("all", "any", "none", "at_least"):
                stack += [(member, denied or key == "none") for member in _members(key, spec)]
            elif denied:
                found.append(self._atom(node))
        return tuple(dict.fromkeys(found))


def _asking(way: Way) -> list[Atom]:
    return [atom for atom in way.atoms if atom.kind != "none"]


def _members(key: str, spec: object) -> Iterable[Mapping[str, object]]:
    listed = cast(dict[str, object], spec)["of"] if key == "at_least" else spec
    return cast(list[Mapping[str, object]], listed)


def _parse(kind: str, spec: object, condition: Condition) -> Atom:
    if kind == "none":
        return Atom(kind, None, None, None, condition)
    if kind in ("present", "history"):
        return Atom(kind, str(spec), str(spec), None, condition)
    if kind == "sudden":
        return Atom(kind, f"onset_of_{spec}", str(spec), None, condition)
    if kind == "worsening":
        return Atom(kind, f"course_of_{spec}", str(spec), None, condition)
    fields: Mapping[str, object] = spec if isinstance(spec, dict) else {}
    code = str(fields.get("finding", ""))
    if kind == "severity":
        return Atom(kind, f"severity_of_{code}", code, str(fields["at_least"]), condition)
    if kind == "duration":
        least, most = fields.get("at_least_hours"), fields.get("at_most_hours")
        hours = float(str(most if least is None else least))
        side = "under" if least is None else "over"
        whole = hours >= 1 and hours == int(hours)
        key = f"duration_of_{code}_{side}_{int(hours)}" if whole else None
        return Atom(kind, key, code, hours if least is not None else -hours, condition)
    key = {"age": "age", "sex": "sex", "pregnant": "pregnancy"}.get(kind)
    return Atom(kind, key, None, None, condition)
