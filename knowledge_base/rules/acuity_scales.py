"""The emergency department's scales, from acuity/scales.yaml: names, minutes, dispositions."""

from __future__ import annotations

from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.language import Bilingual
from knowledge_base.rules.presentations import ACUITY
from knowledge_base.yaml_files import ContentError, read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class AcuityLevel(_Strict):
    """One level: its name, the minutes until a doctor, the disposition that it stands for."""

    name: Bilingual
    minutes: int = Field(ge=0)
    disposition: int = Field(ge=1, le=4)


class AcuityScale(_Strict):
    """A scale and the model that answers for it."""

    name: Bilingual
    model: str
    sources: tuple[str, ...] = Field(min_length=1)
    checked: bool
    levels: dict[int, AcuityLevel]

    @property
    def lowest(self) -> int:
        """The number of the least urgent level."""
        return max(self.levels)


@lru_cache(maxsize=1)
def acuity_scales() -> dict[str, AcuityScale]:
    """The shipped scales by name, read once."""
    entries = read_yaml(ACUITY / "scales.yaml")["scales"]
    if not isinstance(entries, dict):
        raise ContentError("scales.yaml: scales must be a mapping")
    return {str(key): AcuityScale.model_validate(value) for key, value in entries.items()}
