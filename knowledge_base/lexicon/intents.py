"""The intents of questions to a medical service: code and names (`intents.yaml`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from knowledge_base.language import Bilingual
from knowledge_base.yaml_files import read_yaml


class _Intents(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    intents: dict[str, Bilingual]


@lru_cache(maxsize=1)
def intents() -> dict[str, Bilingual]:
    """Names by code, in the file's order."""
    path = Path(__file__).parent / "intents.yaml"
    return _Intents.model_validate(read_yaml(path)).intents
