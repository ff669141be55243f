"""DICOM data sets as JSON (PS3.18 Annex F): the few shapes that the service writes itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

from serving.storage.canonical import Json

DICOM_JSON = "application/dicom+json"

Element = dict[str, Json]
DataSet = dict[str, Json]
"""Elements by their tag, eight upper-case hexadecimal digits."""


def element(vr: str, *values: Json) -> Element:
    """An element; without a value where there is none."""
    known = [value for value in values if value is not None]
    return {"vr": vr, "Value": known} if known else {"vr": vr}


def finite(value: Json) -> Json:
    """The same without NaN and infinities, which JSON has no word for: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def instance_url(base: str, study_uid: str, series_uid: str, sop_uid: str) -> str:
    """Where an instance is retrieved."""
    return f"{series_url(base, study_uid, series_uid)}/instances/{sop_uid}"


def series_url(base: str, study_uid: str, series_uid: str) -> str:
    """Where a series is retrieved."""
    return f"{study_url(base, study_uid)}/series/{series_uid}"


def study_url(base: str, study_uid: str) -> str:
    """Where a study is retrieved."""
    return f"{base}/studies/{study_uid}"
