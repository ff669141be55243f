"""The body part that a header names by a code of its Anatomic Region Sequence.

The table is anatomic_regions.yaml. What it does not know stays unknown.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

FILE = Path(__file__).with_name("anatomic_regions.yaml")
_SCHEMES = frozenset({"SCT", "SRT", "SNM3", "99SDM"})
"""SNOMED CT, and the older names of SNOMED RT (PS3.16, 8.1)."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    regions: dict[str, str]


@cache
def regions() -> dict[str, str]:
    """Body Part Examined by SNOMED CT code; raises pydantic.ValidationError."""
    return _Table.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8"))).regions


def body_part_of(dataset: Dataset) -> str | None:
    """A term of Body Part Examined; None for no region, one that is not known, or several."""
    try:
        items = list(dataset.get("AnatomicRegionSequence") or ())
        if len(items) != 1:
            return None
        value, scheme = str(items[0].CodeValue), str(items[0].CodingSchemeDesignator)
    except Exception:  # pydicom raises many types when it first looks at a value
        return None
    if scheme not in _SCHEMES:
        return None
    # The library knows which SNOMED RT code is which of SNOMED CT.
    stated = Code(value, "SCT" if scheme == "SCT" else "SRT", "")
    found = {part for code, part in regions().items() if Code(code, "SCT", "") == stated}
    return found.pop() if len(found) == 1 else None
