"""The words of the pages, Chinese and English, from strings.yaml. No page text is in code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import yaml

from knowledge_base.language import Bilingual, Language

FILE = Path(__file__).with_name("strings.yaml")


class Translator(Protocol):
    """Words by key in one language; raises KeyError for a key that strings.yaml lacks."""

    def __call__(self, key: str, **values: object) -> str:
        """The words, with `{name}` replaced by the value of that name."""
        ...


@lru_cache(maxsize=1)
def strings() -> Mapping[str, Bilingual]:
    """Every pair by `group.key`; raises ValueError where a side is missing or empty."""
    raw = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    pairs: dict[str, Bilingual] = {}
    for group, entries in raw.items():
        for key, pair in entries.items():
            if set(pair) != {"zh", "en"} or not all(str(side).strip() for side in pair.values()):
                raise ValueError(f"strings.yaml: {group}.{key} needs zh and en")
            pairs[f"{group}.{key}"] = {"zh": str(pair["zh"]), "en": str(pair["en"])}
    return pairs


@lru_cache(maxsize=2)
def translator(language: Language) -> Translator:
    """The words in one language."""
    pairs = strings()

    def words(key: str, **values: object) -> str:
        text = pairs[key][language]
        return text.format(**values) if values else text

    return words
