"""The words of a roster: columns, subspecialties and languages by code, from vocabulary.yaml.

A roster may use a code or either name; `Words.code_of` reads all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from knowledge_base.language import Bilingual
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.yaml_files import ContentError, read_yaml

FILE = Path(__file__).with_name("vocabulary.yaml")


class Words:
    """Codes with their names in both languages."""

    def __init__(self, names: Mapping[str, Bilingual]) -> None:
        """Raises ContentError where one word would mean two codes."""
        self.names: Mapping[str, Bilingual] = MappingProxyType(dict(names))
        self._codes: dict[str, str] = {}
        for code, pair in names.items():
            for word in {_fold(w) for w in (code, pair["zh"], pair["en"])}:
                if self._codes.setdefault(word, code) != code:
                    raise ContentError(f"“{word}” means {self._codes[word]} and {code}")

    def code_of(self, word: str) -> str | None:
        """The code of a code or name, whatever its case; None when it is not known."""
        return self._codes.get(_fold(word))


@dataclass(frozen=True)
class Vocabulary:
    """All words that a roster may use. `department_of` maps a subspecialty to its department."""

    version: int
    columns: Words
    patient_sexes: Words
    departments: Words
    subspecialties: Words
    languages: Words
    department_of: Mapping[str, str]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    columns: dict[str, Bilingual]
    patient_sexes: dict[Literal["any", "female", "male"], Bilingual]
    languages: dict[str, Bilingual]
    subspecialties: dict[str, dict[str, Bilingual]]


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The shipped vocabulary; raises ContentError for a double meaning or a strange department."""
    raw = _File.model_validate(read_yaml(FILE))
    known = taxonomy().departments
    if strange := raw.subspecialties.keys() - known.keys():
        raise ContentError(f"vocabulary.yaml: departments.yaml lacks {sorted(strange)}")
    department_of: dict[str, str] = {}
    names: dict[str, Bilingual] = {}
    for department, entries in raw.subspecialties.items():
        for code, pair in entries.items():
            if code in names:
                raise ContentError(f"vocabulary.yaml: {code} stands under two departments")
            names[code], department_of[code] = pair, department
    return Vocabulary(
        raw.version,
        Words(raw.columns),
        Words({str(sex): pair for sex, pair in raw.patient_sexes.items()}),
        Words({code: {"zh": d.zh, "en": d.en} for code, d in known.items()}),
        Words(names),
        Words(raw.languages),
        MappingProxyType(department_of),
    )


def _fold(word: str) -> str:
    return " ".join(word.casefold().split())
