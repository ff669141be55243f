"""What people mistype: characters that sound or look alike, and words worth reading over a slip.

Reads and validates `confusables.yaml`; it knows nothing of text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from knowledge_base.yaml_files import ContentError, read_yaml

FILE = Path(__file__).parent / "confusables.yaml"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChineseConfusables(_Frozen):
    """Wrong words to right ones of the same length, and groups of characters that are alike."""

    words: Mapping[str, str]
    alike: tuple[str, ...]

    @model_validator(mode="after")
    def _same_length(self) -> ChineseConfusables:
        for wrong, right in self.words.items():
            if len(wrong) != len(right):
                raise ContentError(f"{FILE.name}: {wrong} and {right} differ in length")
        return self


class EnglishConfusables(_Frozen):
    """Words read over one wrong letter, short ones over a swap, and ordinary words near them."""

    words: tuple[str, ...]
    short: tuple[str, ...]
    ordinary: tuple[str, ...]


class Confusables(_Frozen):
    """Both languages' tables."""

    version: int
    zh: ChineseConfusables
    en: EnglishConfusables


@lru_cache(maxsize=1)
def confusables() -> Confusables:
    """The shipped tables, read once."""
    return Confusables.model_validate(read_yaml(FILE))
