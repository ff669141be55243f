"""Lists of medical names for the entity tagger: findings, body parts, diseases, tests, medicines.

Names are facts of the lexicon, of HPO and of the disease table; nothing of any prose is read, and
nothing of the sentences that the tagger is measured on. `name_lists.yaml` says how a body part is
found in the names of its changes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.lexicon.grammar import SITES
from knowledge_base.yaml_files import read_yaml
from models.text.names import LONGEST_NAME, NameLists
from models.text.normalise import normalise
from training.text.readers import list_of, rows, text_of

RULES = Path(__file__).with_suffix(".yaml")
SETS = ("hpo_zh", "zh_diseases")
_WRITTEN = re.compile(r"[\u4e00-\u9fff]|[A-Za-z]{2}")
_CUT = ("…", "...")
"""The disease table shortens some symptoms to these marks: no names."""
Lists = dict[str, set[str]]


class _Rules(BaseModel):
    """`name_lists.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sure: int
    longest_part: int
    changes: list[list[str]]
    between: list[str]
    before: list[str]
    products: list[str]


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    return _Rules.model_validate(read_yaml(RULES))


def name_lists(data_dir: Path) -> NameLists:
    """All lists, from the lexicon and the public term sets."""
    lists: Lists = defaultdict(set)
    _add_lexicon(lists)
    _add_sites(lists)
    lists["hpo"] |= {text_of(row, "zh") for row in rows(data_dir, "hpo_zh")}
    product = re.compile("|".join(_rules().products))
    for row in rows(data_dir, "zh_diseases"):
        lists["disease"] |= {text_of(row, "name"), *list_of(row, "complications")}
        lists["symptom"].update(list_of(row, "symptoms"))
        lists["check"].update(list_of(row, "checks"))
        drugs = list_of(row, "drugs")
        lists["medicine"] |= {*drugs, *(product.sub("", drug) for drug in drugs)}
    changed = ("finding", "condition", "hpo", "disease", "symptom", "check")
    sure, others = parts(name for key in changed for name in lists[key])
    lists["part"], lists["stem"] = sure, others
    return NameLists.of({key: sorted(filter(_is_name, lists[key])) for key in sorted(lists)})


def _add_lexicon(lists: Lists) -> None:
    kinds = {"symptom": "finding", "sign": "finding", "medicine": "medicine"}
    for concept in lexicon().values():
        lists[kinds.get(concept.kind, "condition")].update(concept.names_zh)


def _add_sites(lists: Lists) -> None:
    sites = read_yaml(SITES)["sites"]
    assert isinstance(sites, list)
    for site in sites:
        lists["site"].update(site["zh"])


def _is_name(name: str) -> bool:
    return (
        0 < len(name) <= LONGEST_NAME
        and _WRITTEN.search(name) is not None
        and not any(mark in name for mark in _CUT)
    )


def parts(names: Iterable[str]) -> tuple[set[str], set[str]]:
    """What stands before the names of several changes, and what stands before one only."""
    rules = _rules()
    changes = [change for group in rules.changes for change in group]
    before = re.compile(f"^(?:{'|'.join(rules.before)})+")
    between = re.compile(f"(?<=.)(?:{'|'.join(rules.between)})+$")
    seen: dict[str, set[str]] = defaultdict(set)
    for name in map(normalise, filter(_is_name, names)):
        for change in map(normalise, changes):
            if name.endswith(change):
                part = between.sub("", before.sub("", name.removesuffix(change)))
                if 0 < len(part) <= rules.longest_part:
                    seen[part].add(change)
    sure = {part for part, found in seen.items() if len(found) >= rules.sure}
    return sure, set(seen) - sure
