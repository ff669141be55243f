"""What a zip of images says of its patients: a table beside them, one line per file.

`patients.csv`, or `labels.csv` as data sets have it, at the archive's root or beside its images.
Columns `file`, `age_years` and `sex`, all but the first may be missing; every other column is
ignored: an answer is never an input.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from serving.batches.archive import Archive, Entry
from serving.errors import FenzhenError, FieldError, InvalidInput

TABLES = ("patients.csv", "labels.csv")
_FOLDER = "images/"
_MOST_BYTES = 20_000_000
_OLDEST = 125
_SEXES = frozenset({"", "female", "male"})


@dataclass(frozen=True)
class Patient:
    """What is known of an image's patient; `fault` where the table's line cannot be."""

    age_years: float | None = None
    sex: str | None = None
    fault: FenzhenError | None = None


UNKNOWN = Patient()


def split(archive: Archive) -> tuple[Entry | None, tuple[Entry, ...]]:
    """The table of patients, if there is one, and the other files. InvalidInput for two tables."""
    tables = [e for e in archive.entries if e.name.lower().removeprefix(_FOLDER) in TABLES]
    if len(tables) > 1:
        raise InvalidInput("the archive has two tables of patients: keep one")
    return (tables[0] if tables else None), tuple(e for e in archive.entries if e not in tables)


def read(archive: Archive, table: Entry, files: Collection[str]) -> Mapping[str, Patient]:
    """Patients by the archive's file names. Names may leave out the folder `images/`.

    A line whose age or sex cannot be concerns its own file only. Raises InvalidInput, with the
    line, where the table as a whole cannot be trusted: not UTF-8 CSV, no column `file`, a file
    that is not in the archive or is there twice.
    """
    try:
        text = archive.read(table.name, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the table of patients is not UTF-8") from None
    known = {name.removeprefix(_FOLDER): name for name in files} | {name: name for name in files}
    patients: dict[str, Patient] = {}
    try:
        lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if "file" not in (lines.fieldnames or ()):
            raise InvalidInput("the table of patients has no column file")
        for line in lines:
            name = known.get((line["file"] or "").strip())
            if name is None:
                raise InvalidInput(f"line {lines.line_num} names a file that is not there")
            if name in patients:
                raise InvalidInput(f"line {lines.line_num} names a file for the second time")
            patients[name] = _patient(line.get("age_years") or "", line.get("sex") or "")
    except csv.Error:
        raise InvalidInput("the table of patients is no CSV") from None
    return patients


def _patient(age: str, sex: str) -> Patient:
    age, sex = age.strip(), sex.strip().lower()
    if sex not in _SEXES:
        return Patient(fault=InvalidInput(errors=[FieldError("/sex", "female, male or empty")]))
    try:
        years = float(age) if age else None
    except ValueError:
        years = float("nan")
    if years is not None and not 0 <= years <= _OLDEST:
        fault = FieldError("/age_years", f"a number from 0 to {_OLDEST}, or empty")
        return Patient(fault=InvalidInput(errors=[fault]))
    return Patient(years, sex or None)
