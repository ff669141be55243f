"""The emergency department's scales, from acuity/scales.yaml: names, minutes, dispositions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.language import Bilingual
from knowledge_base.rules.presentations import ACUITY
from knowledge_base.rules.ruleset import read_sources, require_sources
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


def read_acuity_scales(folder: Path = ACUITY) -> dict[str, AcuityScale]:
    """Read `scales.yaml`; raises ContentError naming the scale."""
    entries = read_yaml(folder / "scales.yaml")["scales"]
    if not isinstance(entries, dict):
        raise ContentError("scales.yaml: scales must be a mapping")
    known = read_sources(folder.parent)
    found = {}
    for name, entry in entries.items():
        try:
            scale = AcuityScale.model_validate(entry)
        except ValidationError as error:
            raise ContentError(f"scales.yaml: {name}: {error}") from error
        require_sources(f"scales.yaml: {name}", scale.sources, known)
        found[str(name)] = scale
    return found


@lru_cache(maxsize=1)
def acuity_scales() -> dict[str, AcuityScale]:
    """The shipped scales by name, read once."""
    return read_acuity_scales()
