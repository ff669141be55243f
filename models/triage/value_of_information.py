"""What an answer would be worth: the change of urgency that it could bring, times its chance.

Only red flags more urgent than the disposition so far and, where home care was advised, what
would forbid it are looked at; a rule that lacks more than two answers is too far away to ask for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from knowledge_base.interview.data import groups, wordings
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.lexicon.questions import questions
from knowledge_base.rules.conditions import Truth
from knowledge_base.rules.facts import Facts
from knowledge_base.rules.ruleset import Rule
from models.triage.expectations import LINKED, QUALITY, Expectations, concerns
from models.triage.ways import Atom, Way, Ways

_WORTH = {1: 20.0, 2: 9.0, 3: 4.0, 4: 1.0, 5: 0.0}
"""What reaching a level is worth: life threats far before inconvenience."""
_SELF_CARE, _NONE = 5, 6
_MOST_MISSING = 2
_PREGNANT = 0.25
"""Of a woman who may be: higher than it is, because it changes what is safe and where she goes."""
_UNASKED = frozenset({"condition", "medicine", "request"})
_UNBIDDEN = frozenset({"event", "exposure"})
"""Kinds that people speak of by themselves."""


@dataclass(frozen=True)
class Worth:
    """The worth of asking for one atom's key, and the rule that wants to know.

    `alone` is the level that a yes would bring by itself, `_NONE` where it takes more.
    """

    value: float
    atom: Atom
    rule: Rule
    alone: int


class Inquiry:
    """Values the open questions of one case."""

    def __init__(
        self,
        ways: Ways,
        terms: Lexicon,
        facts: Facts,
        present: Iterable[str],
        asked: frozenset[str],
    ) -> None:
        """`asked` are keys that were asked before, answered or not."""
        self._ways = ways
        self._terms = terms
        self._facts = facts
        self._asked = asked
        self._present = frozenset(
            c for c, o in facts.observations.items() if o.status == "present"
        ) | frozenset(present)
        self._expected = Expectations(terms, facts, self._present, ways.alarms)
        # An atom stands in many ways: what is known of it is worked out once.
        self._truths: dict[int, Truth] = {}
        self._chances: dict[tuple[int, bool], float] = {}
        self._may_ask: dict[int, bool] = {}

    def worths(self, level: int, fired: Iterable[Rule]) -> dict[str, Worth]:
        """The worth of every key that could change the disposition."""
        found: dict[str, Worth] = {}
        for way in self._live(level):
            missing = self._missing(way)
            if missing is None:
                continue
            gain = _WORTH[way.rule.disposition] - _WORTH[level]
            touched = len(missing) < len(way.atoms)
            chances = [self._chance(atom, touched) for atom in missing]
            value = gain
            for chance in chances:
                value *= chance
            for atom in missing:
                decides = len(missing) == 1 and self._key(atom) == atom.key
                alone = way.rule.disposition if decides else _NONE
                self._keep(found, Worth(value, atom, way.rule, alone))
        if level == _SELF_CARE:
            self._spoilers(found, fired)
        return found

    def _live(self, level: int) -> list[Way]:
        """Ways of more urgent rules that the case touches, and those of a single test."""
        ways = [way for way in self._ways.alone if way.rule.disposition < level]
        seen: set[int] = set()
        for code in self._present | self._facts.history:
            for atom in self._ways.by_code.get(code, ()):
                for way in self._ways.together[atom]:
                    if way.rule.disposition < level and id(way) not in seen:
                        seen.add(id(way))
                        ways.append(way)
        return ways

    def _missing(self, way: Way) -> list[Atom] | None:
        """The tests that still lack an answer, or None where they cannot all be asked for."""
        missing: list[Atom] = []
        for atom in way.atoms:
            truth = self._truth(atom)
            if truth is False:
                return None
            if truth is None:
                if not self._askable(atom) or len(missing) == _MOST_MISSING:
                    return None
                missing.append(atom)
        return missing or None

    def _spoilers(self, found: dict[str, Worth], fired: Iterable[Rule]) -> None:
        for rule in fired:
            for atom in self._ways.spoilers.get(rule.id, ()):
                if self._truth(atom) is None and self._askable(atom):
                    gain = _WORTH[_SELF_CARE - 1]
                    value = gain * self._chance(atom, touched=True)
                    self._keep(found, Worth(value, atom, rule, _SELF_CARE - 1))

    def _keep(self, found: dict[str, Worth], worth: Worth) -> None:
        key = self._key(worth.atom)
        known = found.setdefault(key, worth)
        best = worth if worth.value > known.value else known
        alone = min(worth.alone, known.alone)
        found[key] = best if best.alone == alone else replace(best, alone=alone)

    def _key(self, atom: Atom) -> str:
        """What to ask: of something not yet known to be there, first whether it is."""
        if atom.quality and atom.code is not None and atom.code not in self._present:
            return atom.code
        assert atom.key is not None
        return atom.key

    def _askable(self, atom: Atom) -> bool:
        known = id(atom)
        if known not in self._may_ask:
            self._may_ask[known] = self._is_askable(atom)
        return self._may_ask[known]

    def _is_askable(self, atom: Atom) -> bool:
        if atom.key is None:
            return False
        key = self._key(atom)
        if key in self._asked or key in wordings().not_asked:
            return False
        if key in ("age", "sex"):
            return True
        if atom.quality and key == atom.key:
            return not self._graded(atom)
        known = self._facts.observations
        # Who was not sure of the broader thing is not asked for a special form of it.
        unsure = any(c in known and known[c].status == "unknown" for c in self._terms.implied(key))
        return key not in known and not unsure and self._concerns(key)

    def _graded(self, atom: Atom) -> bool:
        """Whether the same was asked of a broader or narrower code, or as a finding of its own."""
        assert atom.code is not None
        assert atom.key is not None
        kind = atom.key.split(atom.code)[0]
        kin = {atom.code, *self._terms.implied(atom.code), *self._terms.narrower(atom.code)}
        if any(key.startswith(kind) and key.removeprefix(kind) in kin for key in self._asked):
            return True
        prefix = {"severity": "severe_", "sudden": "sudden_"}.get(atom.kind)
        return prefix is not None and any(prefix + code in self._facts.observations for code in kin)

    def _concerns(self, code: str) -> bool:
        if code == "pregnancy" and self._facts.sex == "male":
            return False
        if code in _grouped():
            return concerns(code, self._facts)
        # Nobody knows whether they have a peritonitis, and what has no plain words is not asked.
        if code not in self._terms or code not in questions():
            return False
        if self._terms[code].kind in _UNASKED:
            return False
        return concerns(code, self._facts)

    def _chance(self, atom: Atom, touched: bool) -> float:
        known = (id(atom), touched)
        if known not in self._chances:
            self._chances[known] = self._chance_of(atom, touched)
        return self._chances[known]

    def _chance_of(self, atom: Atom, touched: bool) -> float:
        if atom.key in ("age", "sex"):
            return 0.5
        if atom.quality and atom.code in self._present:
            return QUALITY
        code = self._key(atom)
        if code == "pregnancy":
            return _PREGNANT
        chance = self._expected.chance(code)
        if touched and chance > 0 and self._terms[code].kind not in _UNBIDDEN:
            chance = max(chance, LINKED)
        return chance * (QUALITY if atom.quality else 1.0)

    def _truth(self, atom: Atom) -> Truth:
        known = id(atom)
        if known not in self._truths:
            self._truths[known] = atom.condition.evaluate(self._facts)
        return self._truths[known]


@lru_cache(maxsize=1)
def _grouped() -> frozenset[str]:
    return frozenset(code for group in groups() for code in group.of)
