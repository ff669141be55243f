"""What the DICOM exports share: attributes of patient, study and equipment, coded concepts, bytes.

Nothing here names a patient: the record holds an age and a sex, a kept instance a pseudonym.
"""

from __future__ import annotations

import io
import re
from datetime import datetime

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from serving.reports.concepts import Concept
from serving.reports.study import ReportedImage, ReportedStudy

CHARACTER_SET = "ISO_IR 192"
"""UTF-8 (PS3.3, C.12.1.1.2)."""
MANUFACTURER = "Fenzhen"
UTC_OFFSET = "+0000"
_REQUIRED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_IDENTITY = (
    *_REQUIRED, "PatientAge", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "StudyDescription",
)  # fmt: skip
_SEX = {"F": "F", "M": "M", "O": "O", "FEMALE": "F", "MALE": "M"}
_IDEOGRAPHIC = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_NAME_LIMIT = 64
"""Characters of a component group of a person's name (PS3.5, 6.2)."""


def source_dataset(study: ReportedStudy, image: ReportedImage) -> Dataset:
    """The header that a reference to the picture needs, with what is said of patient and study.

    An instance that is kept brings its own pseudonym and study; otherwise nobody is named.
    """
    source = image.source
    dataset = Dataset()
    header = study.headers.get(source.sop_uid)
    copy_identity(_unnamed(study, image) if header is None else header, dataset)
    dataset.SOPClassUID = source.sop_class_uid
    dataset.SOPInstanceUID = source.sop_uid
    dataset.StudyInstanceUID = source.study_uid
    dataset.SeriesInstanceUID = source.series_uid
    return dataset


def copy_identity(source: Dataset, target: Dataset) -> None:
    """What instances of one study must agree on: the attributes of patient and study."""
    for keyword in _IDENTITY:
        if keyword in source:
            target.add(source[keyword])
        elif keyword in _REQUIRED:
            setattr(target, keyword, "")


def _unnamed(study: ReportedStudy, image: ReportedImage) -> Dataset:
    result, dataset = image.result, Dataset()
    dataset.PatientSex = _SEX.get((result.sex or "").upper(), "")
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Fenzhen: no identity of the patient is recorded"
    if not image.source.held:
        # A study of ours begins when it comes; the date of another's is not kept.
        dataset.StudyDate = f"{study.created_at:%Y%m%d}"
        dataset.StudyTime = f"{study.created_at:%H%M%S}"
    if result.age_years is not None:
        dataset.PatientAge = age_string(result.age_years)
    return dataset


def age_string(years: float) -> str:
    """Age as DICOM says it (PS3.5, AS): months below two years, then whole years, at most 90.

    An age above that is a mark of identity (PS3.15, Annex E).
    """
    return f"{min(90, int(years)):03d}Y" if years >= 2 else f"{int(years * 12):03d}M"


def person_name(name: str) -> str:
    """A name in the form of PS3.5, 6.2.1: all of it as family name, Chinese in the second group."""
    kept = "".join(c if c.isprintable() and c not in "\\^=" else " " for c in name)
    kept = " ".join(kept.split())[: _NAME_LIMIT - 1] + "^"
    return f"={kept}" if _IDEOGRAPHIC.search(kept) else kept


def coded(concept: Concept) -> CodedConcept:
    """The concept as highdicom takes it."""
    return CodedConcept(concept.code, concept.scheme, concept.meaning)


def stamp(dataset: Dataset, study: ReportedStudy) -> None:
    """Put the record's time where the library puts the time of writing."""
    at = study.issued_at
    # The library adds itself as the last of the equipment.
    dataset.ContributingEquipmentSequence[-1].ContributionDateTime = date_time(at)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = f"{at:%Y%m%d}", f"{at:%H%M%S.%f}"
    dataset.TimezoneOffsetFromUTC = UTC_OFFSET


def date_time(at: datetime) -> str:
    """A moment in UTC (PS3.5, DT)."""
    return f"{at:%Y%m%d%H%M%S.%f}{UTC_OFFSET}"


def to_bytes(dataset: Dataset) -> bytes:
    """The file (PS3.10)."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
