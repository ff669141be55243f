"""Rules: loading, validation and evaluation to dispositions.

Red flags raise urgency. Routine and self-care rules only speak when no red flag fires,
and a self-care rule is silent while any finding that it excludes is present or was
mentioned without a clear "no".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.language import Language
from knowledge_base.rules.conditions import Condition, Truth, parse_condition
from knowledge_base.rules.facts import Facts
from knowledge_base.yaml_files import ContentError, read_yaml

FOLDER = Path(__file__).parent
_EMERGENCY, _ROUTINE = 2, 4


class Source(BaseModel):
    """A published document behind a rule. `checked` says that its existence was looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    organisation: str
    title: str
    year: int = Field(ge=1950, le=2100)
    identifier: str
    checked: bool = False


class RuleText(BaseModel):
    """One rule as its file says it.

    `card` is the card that is about it: advice comes from there. `cites` names cards that only
    hold a bullet which supports it, each for some of what it looks at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: int = Field(ge=1)
    topic: str
    disposition: int = Field(ge=1, le=5)
    when: dict[str, object]
    excludes: tuple[str, ...] = ()
    fallback: bool = False
    rationale: dict[Language, str]
    advice: dict[Language, str]
    card: str | None = None
    cites: tuple[str, ...] = ()
    sources: tuple[str, ...] = Field(min_length=1)
    checked: bool = False


@dataclass(frozen=True)
class Rule:
    """A parsed rule: `text` as written, its condition and its sources."""

    text: RuleText
    condition: Condition
    sources: tuple[Source, ...]

    @property
    def id(self) -> str:
        """The rule's identifier."""
        return self.text.id

    @property
    def disposition(self) -> int:
        """1 ambulance … 5 self-care."""
        return self.text.disposition

    @property
    def crisis(self) -> bool:
        """An emergency of the mind: self-harm, violence, psychosis. A human must be reached."""
        return self.text.topic == "mental_health" and self.disposition <= _EMERGENCY

    @property
    def needs(self) -> frozenset[str]:
        """Codes of the findings that it looks at, its exclusions too."""
        return self.condition.findings() | frozenset(self.text.excludes)

    def evaluate(self, facts: Facts) -> Truth:
        """Whether the rule fires; None while something it needs is unknown."""
        for code in self.text.excludes:
            observation = facts.observations.get(code)
            if code in facts.history or (observation and observation.status != "absent"):
                return False
        return self.condition.evaluate(facts)


@dataclass(frozen=True)
class Verdict:
    """What the rules say. `disposition` is None when no rule fires.

    `fired` is ordered by urgency; `undecided` are rules more urgent than the verdict that
    some unknown finding could still make fire.
    """

    disposition: int | None
    fired: tuple[Rule, ...]
    undecided: tuple[Rule, ...]


class RuleSet:
    """Red-flag, routine and self-care rules of one version."""

    def __init__(self, red_flags: Sequence[Rule], dispositions: Sequence[Rule]) -> None:
        self.red_flags = tuple(red_flags)
        self.dispositions = tuple(dispositions)
        self.by_id = {rule.id: rule for rule in (*red_flags, *dispositions)}
        # A hash of what the rules say: an edit without a new number is a new version too.
        digest = hashlib.sha256()
        for rule in sorted(self.by_id.values(), key=lambda r: r.id):
            digest.update(rule.text.model_dump_json().encode())
        self.version = f"{len(self.by_id)}-{digest.hexdigest()[:12]}"

    def judge(self, facts: Facts) -> Verdict:
        """Red flags first, the most urgent deciding; then self-care or routine rules.

        When both a routine and a self-care rule fire, the more urgent one decides: advice to
        stay at home needs every complaint to be a minor one. A fallback rule, a wide net that
        words an answer, speaks only when no other does.
        """
        fired, undecided = _split(self.red_flags, facts)
        if not fired:
            fired, _ = _split(self.dispositions, facts)
            fired = [rule for rule in fired if not rule.text.fallback] or fired
        fired.sort(key=lambda rule: rule.disposition)
        disposition = fired[0].disposition if fired else None
        return Verdict(
            disposition,
            tuple(fired),
            tuple(r for r in undecided if disposition is None or r.disposition < disposition),
        )

    def judge_ages(self, facts: Facts, ages: Sequence[float]) -> tuple[Verdict, float | None]:
        """The worst verdict, and its age: of several stated ages each might be the patient's.

        Without a stated age, None stands for it. Where no rule fires, it ranks as a routine case.
        """
        judged = [(self.judge(replace(facts, age_years=age)), age) for age in ages or (None,)]
        return min(judged, key=lambda pair: pair[0].disposition or _ROUTINE)


def _split(rules: Iterable[Rule], facts: Facts) -> tuple[list[Rule], list[Rule]]:
    fired, undecided = [], []
    for rule in rules:
        truth = rule.evaluate(facts)
        if truth is True:
            fired.append(rule)
        elif truth is None:
            undecided.append(rule)
    return fired, undecided


def read_sources(folder: Path = FOLDER) -> dict[str, Source]:
    """Every source by its key: the rules' own and those of the scores; raises ContentError."""
    found: dict[str, Source] = {}
    for path in sorted(folder.glob("**/sources.yaml")):
        where = path.relative_to(folder)
        listed = read_yaml(path)["sources"]
        if not isinstance(listed, dict):
            raise ContentError(f"{where}: sources must be a mapping")
        for key, value in listed.items():
            if key in found:
                raise ContentError(f"{where}: the source {key} is defined twice")
            try:
                found[key] = Source.model_validate(value)
            except ValidationError as error:
                raise ContentError(f"{where}: {key}: {error}") from error
    return found


def require_sources(where: str, named: Iterable[str], known: Mapping[str, Source]) -> None:
    """Raise ContentError for a source that is not known."""
    for key in named:
        if key not in known:
            raise ContentError(f"{where}: unknown source {key}")


def read_rules(folder: Path = FOLDER) -> RuleSet:
    """Read the sources, red_flags/*.yaml and dispositions/*.yaml; raises ContentError."""
    sources = read_sources(folder)
    seen: set[str] = set()

    def read(sub: str, levels: range) -> list[Rule]:
        rules = []
        for path in sorted((folder / sub).glob("*.yaml")):
            entries = read_yaml(path)["rules"]
            if not isinstance(entries, list):
                raise ContentError(f"{path.name}: rules must be a list")
            for entry in entries:
                rule = _parse(entry, sources, path.name)
                if rule.id in seen:
                    raise ContentError(f"{path.name}: rule {rule.id} is defined twice")
                if rule.disposition not in levels:
                    raise ContentError(f"{path.name}: {rule.id} has a level foreign to {sub}")
                seen.add(rule.id)
                rules.append(rule)
        return rules

    return RuleSet(read("red_flags", range(1, 4)), read("dispositions", range(4, 6)))


def _parse(entry: object, sources: dict[str, Source], file: str) -> Rule:
    try:
        text = RuleText.model_validate(entry)
        return Rule(text, parse_condition(text.when), tuple(sources[key] for key in text.sources))
    except (ValidationError, ValueError) as error:
        raise ContentError(f"{file}: {entry!r:.120}: {error}") from error
    except KeyError as error:
        raise ContentError(f"{file}: {entry!r:.120}: unknown source or key {error}") from error


@lru_cache(maxsize=1)
def rules() -> RuleSet:
    """The shipped rules, read once."""
    return read_rules()
