"""The few facts of a DICOM header that a second opinion needs. Nothing that identifies anybody.

A code that the standard does not know is `OTHER`: in a free field there may be a name.
"""

from __future__ import annotations

from datetime import date

from pydicom.dataset import Dataset

from models.imaging.anatomic_regions import body_part_of
from models.imaging.decode import DicomMetadata
from models.imaging.dicom_elements import RULES

_UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.25}
_OLDEST_YEARS = 125.0


def metadata(dataset: Dataset) -> DicomMetadata:
    """What the header says of the patient and of the view."""
    burned = text(dataset, "BurnedInAnnotation")
    return DicomMetadata(
        age_years=age_years(dataset),
        sex=_code(dataset, "PatientSex"),
        modality=_code(dataset, "Modality"),
        body_part=_code(dataset, "BodyPartExamined") or body_part_of(dataset),
        view_position=_code(dataset, "ViewPosition"),
        burned_in={"YES": True, "NO": False}.get(burned or ""),
    )


def text(dataset: Dataset, keyword: str) -> str | None:
    """The value as upper-case text; None where there is none or it cannot be read."""
    try:
        value = dataset.get(keyword)
        return str(value).strip().upper() or None if value is not None else None
    except Exception:  # pydicom raises many types when it first looks at a value
        return None


def age_years(dataset: Dataset) -> float | None:
    """PatientAge (nnnD, nnnW, nnnM, nnnY), else study date less birth date; None when absurd."""
    stated = text(dataset, "PatientAge")
    if stated and stated[:-1].isdecimal() and stated[-1] in _UNITS_PER_YEAR:
        years = round(int(stated[:-1]) / _UNITS_PER_YEAR[stated[-1]], 2)
        return years if years <= _OLDEST_YEARS else None
    born, taken = _day(dataset, "PatientBirthDate"), _day(dataset, "StudyDate")
    if born is None or taken is None or taken < born:
        return None
    years = round((taken - born).days / 365.25, 2)
    return years if years <= _OLDEST_YEARS else None


def _code(dataset: Dataset, keyword: str) -> str | None:
    value = text(dataset, keyword)
    return value if value is None or value in RULES.terms[keyword] else "OTHER"


def _day(dataset: Dataset, keyword: str) -> date | None:
    stated = text(dataset, keyword)
    try:
        return date.fromisoformat(stated) if stated and len(stated) == 8 else None
    except ValueError:
        return None
