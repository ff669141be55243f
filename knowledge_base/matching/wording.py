"""The sentences of a match in both languages, from wording.yaml."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from knowledge_base.language import Bilingual, Language
from knowledge_base.yaml_files import read_yaml

FILE = Path(__file__).with_name("wording.yaml")


class Wording(BaseModel):
    """Sentences by code, in three groups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: dict[str, Bilingual]
    reasons: dict[str, Bilingual]
    summaries: dict[str, Bilingual]


@lru_cache(maxsize=1)
def wording() -> Wording:
    """The shipped sentences, read once."""
    return Wording.model_validate(read_yaml(FILE))


def fill(template: Bilingual, **values: str | int | Bilingual) -> Bilingual:
    """A sentence with its places filled; a bilingual value gives each language its own side."""

    def side(language: Language) -> str:
        words = {k: v[language] if isinstance(v, dict) else v for k, v in values.items()}
        return template[language].format_map(words)

    return {"zh": side("zh"), "en": side("en")}
