"""The department taxonomy and the crosswalks between it and other people's label sets.

Both are data: `departments.yaml` and `crosswalks/*.yaml`. A crosswalk says which of our codes a
label of theirs teaches (`to_code`, for training) and which of their labels one of our codes is
counted as (`to_label`, for evaluation). Nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import yaml

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Department:
    """One level-2 department; `parent` is the code of its level-1 department."""

    code: str
    zh: str
    en: str
    parent: str


@dataclass(frozen=True)
class ParentDepartment:
    """One level-1 department with its level-2 codes, in the file's order."""

    code: str
    zh: str
    en: str
    children: tuple[str, ...]


@dataclass(frozen=True)
class Taxonomy:
    """Both levels by code, in the file's order."""

    version: int
    parents: Mapping[str, ParentDepartment]
    departments: Mapping[str, Department]

    def parent_of(self, code: str) -> ParentDepartment:
        """The level-1 department of a level-2 code; KeyError for an unknown code."""
        return self.parents[self.departments[code].parent]


@lru_cache(maxsize=1)
def taxonomy() -> Taxonomy:
    """The taxonomy of `departments.yaml`; raises ValueError where a code occurs twice."""
    raw = yaml.safe_load((_FOLDER / "departments.yaml").read_text(encoding="utf-8"))
    parents: dict[str, ParentDepartment] = {}
    departments: dict[str, Department] = {}
    for row in raw["departments"]:
        children = tuple(child["code"] for child in row["children"])
        if row["code"] in parents or len(departments.keys() | set(children)) != (
            len(departments) + len(children)
        ):
            raise ValueError(f"departments.yaml: {row['code']} or one of its children occurs twice")
        parents[row["code"]] = ParentDepartment(row["code"], row["zh"], row["en"], children)
        for child in row["children"]:
            departments[child["code"]] = Department(
                child["code"], child["zh"], child["en"], row["code"]
            )
    return Taxonomy(raw["version"], MappingProxyType(parents), MappingProxyType(departments))


@dataclass(frozen=True)
class Refinement:
    """A disease under one of `origins` whose name holds one of `words` belongs to `code`."""

    code: str
    origins: frozenset[str]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Crosswalk:
    """One label set. `labels` are those of the file at hand; `unknown` ones always count wrong."""

    name: str
    to_code: Mapping[str, str]
    candidates: Mapping[str, tuple[str, ...]]
    refinements: tuple[Refinement, ...] = ()
    labels: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Every label that one of our codes can be counted as."""
        return frozenset(label for labels in self.candidates.values() for label in labels)

    def code_of(self, label: str, name: str = "") -> str | None:
        """Our code for a label of theirs, refined by the disease's `name`; None if unknown."""
        code = self.to_code.get(label)
        for rule in self.refinements:
            if code in rule.origins and any(word in name for word in rule.words):
                return rule.code
        return code

    def label_of(self, code: str) -> str | None:
        """The file's label that `code` is counted as; None where no label covers it."""
        for label in self.candidates.get(code, ()):
            if label in self.labels:
                return label
        return None

    def to_label(self, probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
        """Our probabilities by code as (label, probability), the most probable first.

        Codes of one label are summed; codes that no label of the file covers are dropped and
        the rest renormalised. Every known label of the file is in the answer.
        """
        sums = dict.fromkeys(sorted(self.labels - self.unknown), 0.0)
        for code, probability in probabilities.items():
            label = self.label_of(code)
            if label is not None:
                sums[label] += probability
        total = sum(sums.values())
        ranked = [(label, p / total if total > 0 else 1 / len(sums)) for label, p in sums.items()]
        return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


def _read(path: Path) -> Crosswalk:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    codes = {*raw["to_code"].values(), *raw["to_label"]}
    rules = tuple(
        Refinement(rule["code"], frozenset(rule["from"]), tuple(rule["name"]))
        for rule in raw.get("refine", [])
    )
    for rule in rules:
        codes |= {rule.code, *rule.origins}
    strange = codes - taxonomy().departments.keys()
    if strange:
        raise ValueError(f"{path.name}: codes that departments.yaml lacks: {sorted(strange)}")
    candidates = {code: tuple(labels) for code, labels in raw["to_label"].items()}
    return Crosswalk(
        raw["name"], MappingProxyType(raw["to_code"]), MappingProxyType(candidates), rules
    )


@lru_cache(maxsize=1)
def crosswalks() -> Mapping[str, Crosswalk]:
    """Every crosswalk by name; raises ValueError where one names a code that we do not have."""
    read = [_read(path) for path in sorted((_FOLDER / "crosswalks").glob("*.yaml"))]
    return MappingProxyType({crosswalk.name: crosswalk for crosswalk in read})


def crosswalk_for(labels: Collection[str]) -> Crosswalk:
    """The crosswalk that knows most of a file's labels, bound to that file.

    Among equals the smaller label set wins. Labels that it does not know are in `unknown`.
    Raises ValueError where no crosswalk knows a single one of them.
    """
    wanted = frozenset(labels)
    usable = [c for c in crosswalks().values() if c.known & wanted]
    if not usable:
        raise ValueError(f"no crosswalk knows any of the labels {sorted(wanted)}")
    best = max(usable, key=lambda c: (len(c.known & wanted), -len(c.known)))
    return Crosswalk(
        best.name, best.to_code, best.candidates, best.refinements, wanted, wanted - best.known
    )
