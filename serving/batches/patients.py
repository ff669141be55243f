"""What a zip of images says of its patients: a table beside them, one line per file.

`patients.csv`, or `labels.csv` as data sets have it, at the archive's root or beside its images.
Columns `file`, `age_years`, `sex` and `site` (of a skin lesion), all but the first may be missing;
every other column is ignored: an answer is never an input.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from models.imaging.context import SEXES, SITES
from serving.batches.archive import Archive, Entry
from serving.errors import FenzhenError, FieldError, InvalidInput
from serving.imaging_records import UNSAID, Patient

TABLES = ("patients.csv", "labels.csv")
_FOLDER = "images/"
_MOST_BYTES = 20_000_000
_OLDEST = 125
# As Excel saves CSV: with a byte order mark, or in the code page of a Chinese Windows.
_ENCODINGS = ("utf-8-sig", "gb18030")


@dataclass(frozen=True)
class Line:
    """What the table says of an image's patient; `fault` where that cannot be."""

    patient: Patient = UNSAID
    fault: FenzhenError | None = None


UNKNOWN = Line()


def split(archive: Archive) -> tuple[Entry | None, tuple[Entry, ...]]:
    """The table of patients, if there is one, and the other files. InvalidInput for two tables."""
    tables = [e for e in archive.entries if e.name.lower().removeprefix(_FOLDER) in TABLES]
    if len(tables) > 1:
        raise InvalidInput("the archive has two tables of patients: keep one")
    return (tables[0] if tables else None), tuple(e for e in archive.entries if e not in tables)


def read(archive: Archive, table: Entry, files: Collection[str]) -> Mapping[str, Line]:
    """Lines by the archive's file names. Names may leave out the folder `images/`.

    A line whose age, sex or site cannot be concerns its own file only. Raises InvalidInput, with
    the line, where the table as a whole cannot be trusted: no CSV in UTF-8 or GB 18030, no column
    `file`, a file that is not in the archive or is there twice.
    """
    text = _decoded(archive.read(table.name, _MOST_BYTES))
    known = {name.removeprefix(_FOLDER): name for name in files} | {name: name for name in files}
    found: dict[str, Line] = {}
    try:
        lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if "file" not in (lines.fieldnames or ()):
            raise InvalidInput("the table of patients has no column file")
        for line in lines:
            name = known.get((line["file"] or "").strip())
            if name is None:
                raise InvalidInput(f"line {lines.line_num} names a file that is not there")
            if name in found:
                raise InvalidInput(f"line {lines.line_num} names a file for the second time")
            found[name] = _line(*(line.get(key) or "" for key in ("age_years", "sex", "site")))
    except csv.Error:
        raise InvalidInput("the table of patients is no CSV") from None
    return found


def _decoded(data: bytes) -> str:
    for encoding in _ENCODINGS:
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise InvalidInput("the table of patients is neither UTF-8 nor GB 18030")


def _line(age: str, sex: str, site: str) -> Line:
    age, sex, site = age.strip(), sex.strip().lower(), site.strip().lower()
    if sex not in ("", *SEXES):
        return _faulty("/sex", "female, male or empty")
    if site not in ("", *SITES):
        return _faulty("/site", f"one of {', '.join(SITES)}, or empty")
    try:
        years = float(age) if age else None
    except ValueError:
        years = float("nan")
    if years is not None and not 0 <= years <= _OLDEST:
        return _faulty("/age_years", f"a number from 0 to {_OLDEST}, or empty")
    return Line(Patient(years, sex or None, site or None))


def _faulty(pointer: str, expected: str) -> Line:
    return Line(fault=InvalidInput(errors=[FieldError(pointer, expected)]))
