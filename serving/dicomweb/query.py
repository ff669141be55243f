"""What a QIDO-RS request asks for (PS3.18 8.3.4), read from its parameters and checked.

What de-identification took away can be asked for and is never found. What is not kept searchable
is refused: an answer that leaves out a condition would name other people's studies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from serving.errors import FieldError, InvalidInput

Kind = Literal["uid", "code", "number", "text"]

SEARCHABLE: dict[str, tuple[str, Kind]] = {
    "StudyInstanceUID": ("study_uid", "uid"),
    "SeriesInstanceUID": ("series_uid", "uid"),
    "SOPInstanceUID": ("sop_uid", "uid"),
    "SOPClassUID": ("sop_class_uid", "uid"),
    "PatientID": ("patient_id", "text"),
    "PatientSex": ("sex", "code"),
    "Modality": ("modality", "code"),
    "ModalitiesInStudy": ("modality", "code"),
    "BodyPartExamined": ("body_part", "code"),
    "SeriesNumber": ("series_number", "number"),
    "InstanceNumber": ("instance_number", "number"),
    "Rows": ("rows", "number"),
    "Columns": ("columns", "number"),
    "BitsAllocated": ("bits_allocated", "number"),
    "NumberOfFrames": ("frames", "number"),
}
"""Attributes by keyword: their column, and how values are compared."""

REMOVED = frozenset(
    {
        "AccessionNumber",
        "PatientBirthDate",
        "PatientName",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "ReferringPhysicianName",
        "StudyDate",
        "StudyDescription",
        "StudyID",
        "StudyTime",
    }
)
"""Attributes that the standard lets be matched and that no stored instance has any more."""

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
_MAX_OFFSET = 10_000_000
_MAX_VALUES = 100
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_UID = re.compile(r"[0-9.]{1,64}")
_CODE = re.compile(r"[A-Za-z0-9 _*?]{1,16}")
_NUMBER = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True)
class Match:
    """One condition: a column has one of the values. `*` and `?` in a code are wildcards."""

    column: str
    kind: Kind
    values: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """A search. `nothing`: it asks for what no stored instance has."""

    matches: tuple[Match, ...]
    limit: int
    offset: int
    nothing: bool = False


def read_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """The search in a request's query parameters. Raises InvalidInput, quoting no value."""
    matches: dict[str, Match] = {}
    numbers = {"limit": DEFAULT_LIMIT, "offset": 0}
    nothing = False
    seen: set[str] = set()
    for name, value in parameters:
        if name == "includefield":
            _check_fields(value)
        elif name in seen:
            raise _wrong(name, "is given twice")
        elif name in numbers:
            numbers[name] = _count(name, value)
        elif name == "fuzzymatching":
            if value.lower() != "false":
                raise _wrong(name, "is not offered: names are not kept")
        else:
            keyword = _keyword(name)
            if keyword in REMOVED:
                nothing = nothing or value not in ("", "*")
            elif value not in ("", "*"):
                matches[keyword] = _match(keyword, value)
        seen.add(name)
    limit = min(numbers["limit"], MAX_LIMIT)
    return Query(tuple(matches.values()), limit, numbers["offset"], nothing)


def _match(keyword: str, value: str) -> Match:
    column, kind = SEARCHABLE[keyword]
    values = tuple(value.replace("\\", ",").split(",")) if kind == "uid" else (value,)
    shape = {"uid": _UID, "code": _CODE, "text": _CODE, "number": _NUMBER}[kind]
    if len(values) > _MAX_VALUES or not all(shape.fullmatch(one) for one in values):
        raise _wrong(keyword, f"is no {kind}")
    return Match(column, kind, values)


def _keyword(name: str) -> str:
    """The attribute that a parameter names by keyword or tag; raises InvalidInput."""
    keyword = keyword_for_tag(int(name, 16)) if _TAG.fullmatch(name) else name
    if keyword in SEARCHABLE or keyword in REMOVED:
        return keyword
    raise InvalidInput(
        "one of the parameters is no attribute that can be searched",
        extra={"searchable": sorted({*SEARCHABLE, *REMOVED})},
    )


def _check_fields(value: str) -> None:
    """All that is held of a level is in every answer; a field need only be one."""
    for field in value.split(","):
        known = field == "all" or _TAG.fullmatch(field) or tag_for_keyword(field) is not None
        if not known:
            raise _wrong("includefield", "names no attribute of DICOM")


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise _wrong(name, "is a whole number")
    return min(int(value), _MAX_OFFSET)


def _wrong(name: str, why: str) -> InvalidInput:
    return InvalidInput(errors=[FieldError(f"/{name}", why)])
