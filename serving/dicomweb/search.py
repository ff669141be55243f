"""QIDO-RS (PS3.18 10.6): the studies, series and instances that are held, newest first.

Everything comes from the table of instances; no file is opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from serving.dicomweb.elements import DataSet, element, instance_url, series_url, study_url
from serving.dicomweb.query import Match, Query
from serving.services import Services
from serving.storage import instances
from serving.storage.instances import InstanceHeader, StoredInstance
from serving.storage.tables import DicomInstanceRow
from serving.uploads import own_uids

_ROW = DicomInstanceRow
_REMOVED_OF_STUDY = {
    "00080020": "DA",  # StudyDate
    "00080030": "TM",  # StudyTime
    "00080050": "SH",  # AccessionNumber
    "00080090": "PN",  # ReferringPhysicianName
    "00100010": "PN",  # PatientName
    "00100030": "DA",  # PatientBirthDate
    "00200010": "SH",  # StudyID
}
"""Attributes that the standard asks of every study and that de-identification emptied."""


@dataclass(frozen=True)
class Within:
    """What a search or a retrieval is confined to, by any UID that the caller knows it by."""

    study: str | None = None
    series: str | None = None
    instance: str | None = None


@dataclass(frozen=True)
class Found:
    """One page of an answer, and whether more would follow."""

    items: tuple[DataSet, ...]
    more: bool


@dataclass(frozen=True)
class Aggregate:
    """What is said of a study or a series by its instances."""

    study_uid: str
    series_uid: str | None
    patient_id: str
    sex: str | None
    modality: str | None
    body_part: str | None
    series_number: int | None
    series: int
    instances: int


def search_studies(services: Services, query: Query, base: str) -> Found:
    """Studies that hold an instance that fits. Blocking."""
    with services.db.read() as session:
        page, more = _aggregates(services, session, query, Within(), by_series=False)
        modalities: dict[str, list[str | None]] = defaultdict(list)
        known = [one.study_uid for one in page]
        rows = select(_ROW.study_uid, _ROW.modality).where(_ROW.study_uid.in_(known)).distinct()
        for study_uid, modality in session.execute(rows.order_by(_ROW.modality)):
            modalities[study_uid].append(modality)
    items = tuple(
        _sorted(
            {
                **_study(one, base),
                "00080061": element("CS", *modalities[one.study_uid]),
                "00201206": element("IS", one.series),
                "00201208": element("IS", one.instances),
            }
        )
        for one in page
    )
    return Found(items, more)


def search_series(services: Services, query: Query, within: Within, base: str) -> Found:
    """Series that hold an instance that fits. Blocking."""
    with services.db.read() as session:
        page, more = _aggregates(services, session, query, within, by_series=True)
    items = tuple(
        _sorted(
            {
                **_study(one, base),
                "0020000E": element("UI", one.series_uid),
                "00080060": element("CS", one.modality),
                "00180015": element("CS", one.body_part),
                "00200011": element("IS", one.series_number),
                "00201209": element("IS", one.instances),
                "00081190": element("UR", series_url(base, one.study_uid, one.series_uid or "")),
            }
        )
        for one in page
    )
    return Found(items, more)


def search_instances(services: Services, query: Query, within: Within, base: str) -> Found:
    """Instances that fit. Blocking."""
    if query.nothing or query.limit == 0:
        return Found((), False)
    rows = (
        select(_ROW)
        .where(*_conditions(services, query.matches), *_confines(services, within))
        .order_by(_ROW.stored_at.desc(), _ROW.study_uid, _ROW.series_uid, _ROW.sop_uid)
        .limit(query.limit + 1)
        .offset(query.offset)
    )
    with services.db.read() as session:
        found = [instances.stored(row).header for row in session.scalars(rows)]
    items = tuple(_instance(header, base) for header in found[: query.limit])
    return Found(items, len(found) > query.limit)


def held(services: Services, within: Within) -> list[StoredInstance]:
    """All instances of a study, a series or one by its UIDs, in the order of their numbers."""
    rows = (
        select(_ROW)
        .where(*_confines(services, within))
        .order_by(_ROW.series_uid, _ROW.instance_number, _ROW.sop_uid)
    )
    with services.db.read() as session:
        return [instances.stored(row) for row in session.scalars(rows)]


def _aggregates(
    services: Services, session: Session, query: Query, within: Within, *, by_series: bool
) -> tuple[list[Aggregate], bool]:
    if query.nothing or query.limit == 0:
        return [], False
    group = (_ROW.study_uid, _ROW.series_uid) if by_series else (_ROW.study_uid,)
    level = _ROW.series_uid if by_series else _ROW.study_uid
    fitting = select(level).where(
        *_conditions(services, query.matches), *_confines(services, within)
    )
    rows = (
        select(
            _ROW.study_uid,
            func.min(_ROW.series_uid),
            func.min(_ROW.patient_id),
            func.min(_ROW.sex),
            func.min(_ROW.modality),
            func.min(_ROW.body_part),
            func.min(_ROW.series_number),
            func.count(_ROW.series_uid.distinct()),
            func.count(),
        )
        .where(level.in_(fitting), *_confines(services, within))
        .group_by(*group)
        .order_by(func.max(_ROW.stored_at).desc(), *group)
        .limit(query.limit + 1)
        .offset(query.offset)
    )
    found = [Aggregate(*row) for row in session.execute(rows)]
    return found[: query.limit], len(found) > query.limit


def _conditions(services: Services, matches: Sequence[Match]) -> list[ColumnElement[bool]]:
    return [_condition(services, match) for match in matches]


def _condition(services: Services, match: Match) -> ColumnElement[bool]:
    column: ColumnElement[object] = getattr(_ROW, match.column)
    if match.kind == "uid":
        known = {own for value in match.values for own in own_uids(services, value)}
        return column.in_(known)
    (value,) = match.values
    if match.kind == "number":
        return column == int(value)
    word = value.upper()
    if "*" in word or "?" in word:
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")
    return column == word


def _confines(services: Services, within: Within) -> list[ColumnElement[bool]]:
    pairs = (
        (_ROW.study_uid, within.study),
        (_ROW.series_uid, within.series),
        (_ROW.sop_uid, within.instance),
    )
    return [column.in_(own_uids(services, uid)) for column, uid in pairs if uid is not None]


def _study(one: Aggregate | InstanceHeader, base: str) -> DataSet:
    return {
        **{tag: element(vr) for tag, vr in _REMOVED_OF_STUDY.items()},
        "00080056": element("CS", "ONLINE"),
        "00081190": element("UR", study_url(base, one.study_uid)),
        "00100020": element("LO", one.patient_id or None),
        "00100040": element("CS", one.sex),
        "0020000D": element("UI", one.study_uid),
    }


def _instance(header: InstanceHeader, base: str) -> DataSet:
    url = instance_url(base, header.study_uid, header.series_uid, header.sop_uid)
    return _sorted(
        {
            **_study(header, base),
            "00080016": element("UI", header.sop_class_uid),
            "00080018": element("UI", header.sop_uid),
            "00080060": element("CS", header.modality),
            "00081190": element("UR", url),
            "00180015": element("CS", header.body_part),
            "0020000E": element("UI", header.series_uid),
            "00200011": element("IS", header.series_number),
            "00200013": element("IS", header.instance_number),
            "00280008": element("IS", header.frames),
            "00280010": element("US", header.rows),
            "00280011": element("US", header.columns),
            "00280100": element("US", header.bits_allocated),
        }
    )


def _sorted(dataset: DataSet) -> DataSet:
    return dict(sorted(dataset.items()))
