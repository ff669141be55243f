"""A roster as CSV: read whole or not at all, every fault with its line and column; written back.

UTF-8 with or without a byte order mark, else GB 18030, which holds GBK. Columns and words may be
codes or names of vocabulary.yaml, so that a hospital's Chinese sheet is read as it is. A column
that is not known is refused: a roster holds codes, never names of people. Faults never quote a
cell.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from knowledge_base.matching.vocabulary import Words, vocabulary
from knowledge_base.rules.facts import Sex
from models.matching.duty import Duty, parse_duty
from models.matching.profile import Doctor

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
REQUIRED = ("code", "department", "duty", "capacity")
SHOWN_FAULTS = 50
"""Faults listed at most: a sheet with a shifted column would list every cell."""

_NUMBER = re.compile(r"[0-9]{1,7}(\.[0-9]{1,4})?")
_SEPARATORS = re.compile(r"[;、|]")  # full-width ； was folded before


@dataclass(frozen=True)
class Fault:
    """What is wrong in one cell; `column` is a code of vocabulary.yaml, empty for a whole line."""

    line: int
    column: str
    detail: str

    def __str__(self) -> str:
        """`line 7, duty: hours are HH:MM-HH:MM`."""
        where = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{where}: {self.detail}"


class RosterRefused(ValueError):
    """The file is not a roster; `faults` says where. Nothing of it was taken."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults[:3])))


def read_roster(data: bytes, *, max_bytes: int, max_rows: int) -> tuple[Doctor, ...]:
    """The doctors of a file in its order. Raises RosterRefused with every fault, 50 at most."""
    if len(data) > max_bytes:
        raise RosterRefused([Fault(1, "", f"at most {max_bytes} bytes")])
    (_, header), *rows = _rows(_decode(data))
    if not 1 <= len(rows) <= max_rows:
        raise RosterRefused([Fault(1, "", f"1 to {max_rows} doctors under a line of columns")])
    columns = _columns(header)
    doctors: list[Doctor] = []
    faults: list[Fault] = []
    lines: dict[str, int] = {}
    for line, cells in rows:
        if len(faults) >= SHOWN_FAULTS:
            break
        row = _Row(line, columns, cells, faults)
        doctor = row.doctor()
        if doctor is None:
            continue
        first = lines.setdefault(doctor.code, line)
        if first != line:
            faults.append(Fault(line, "code", f"is also on line {first}"))
        doctors.append(doctor)
    if faults:
        raise RosterRefused(faults[:SHOWN_FAULTS])
    return tuple(doctors)


def write_roster(doctors: Iterable[Doctor]) -> str:
    """The doctors as CSV in codes; `read_roster` of its UTF-8 bytes gives the same doctors."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(vocabulary().columns.names)
    for d in doctors:
        cells: dict[str, object] = {
            "code": d.code,
            "department": d.department,
            "subspecialties": ";".join(d.subspecialties),
            "age_min": _number(d.age_min),
            "age_max": _number(d.age_max),
            "patient_sex": d.patient_sex or "any",
            "languages": ";".join(d.languages),
            "duty": d.duty.text,
            "capacity": d.capacity,
            "rating": _number(d.rating),
            "rating_count": d.rating_count,
            "response_minutes": _number(d.response_minutes),
            "visits_3y": _number(d.visits_3y),
            "surgery_volume_3y": _number(d.surgery_volume_3y),
        }
        writer.writerow([cells[column] for column in vocabulary().columns.names])
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def _decode(data: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise RosterRefused([Fault(1, "", "is neither UTF-8 nor GBK text")])


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Every line that is not blank with its number; at least one. Cells in their plain form."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            plain = [unicodedata.normalize("NFKC", cell).strip() for cell in cells]
            if any(plain):
                rows.append((reader.line_num, plain))
    except csv.Error as error:
        raise RosterRefused([Fault(reader.line_num, "", "is not CSV")]) from error
    if not rows:
        raise RosterRefused([Fault(1, "", "the file is empty")])
    return rows


def _columns(header: list[str]) -> list[str]:
    words = vocabulary().columns
    codes = [words.code_of(name) for name in header]
    columns = [code for code in codes if code is not None]
    if len(columns) < len(codes):
        number = codes.index(None) + 1
        known = ", ".join(words.names)
        raise RosterRefused([Fault(1, "", f"column {number} is not known; known are {known}")])
    if len(set(columns)) < len(columns):
        raise RosterRefused([Fault(1, "", "a column occurs twice")])
    if missing := [name for name in REQUIRED if name not in columns]:
        raise RosterRefused([Fault(1, "", f"lacks the columns {', '.join(missing)}")])
    return columns


class _Row:
    """One line's cells, read with their limits; what is wrong goes to the list of faults."""

    def __init__(
        self, line: int, columns: list[str], cells: list[str], faults: list[Fault]
    ) -> None:
        self._line = line
        self._faults = faults
        self._before = len(faults)
        if len(cells) != len(columns):
            self._fault("", f"{len(columns)} cells are needed, here are {len(cells)}")
        self._cells: Mapping[str, str] = dict(zip(columns, cells, strict=False))

    def doctor(self) -> Doctor | None:
        """The doctor of the line; None where anything is wrong with it."""
        if len(self._faults) > self._before:
            return None
        words = vocabulary()
        sex = self._word("patient_sex", words.patient_sexes) or "any"
        rating, count = self._figure("rating", 5), self._figure("rating_count", 10_000_000)
        if rating is not None and not count:
            self._fault("rating_count", "a rating needs the number of patients who gave it")
        low, high = self._figure("age_min", 125), self._figure("age_max", 150)
        if low is not None and high is not None and low >= high:
            self._fault("age_max", "must be above age_min")
        doctor = Doctor(
            code=self._code(),
            department=self._word("department", words.departments, required=True),
            duty=self._duty(),
            capacity=self._whole("capacity", 1000),
            subspecialties=self._list("subspecialties", words.subspecialties),
            languages=self._list("languages", words.languages) or ("zh",),
            age_min=low,
            age_max=high,
            patient_sex=next((s for s in get_args(Sex) if s == sex), None),
            rating=rating,
            rating_count=int(count or 0),
            response_minutes=self._figure("response_minutes", 100_000),
            visits_3y=self._figure("visits_3y", 1_000_000),
            surgery_volume_3y=self._figure("surgery_volume_3y", 100_000),
        )
        return doctor if len(self._faults) == self._before else None

    def _fault(self, column: str, detail: str) -> None:
        self._faults.append(Fault(self._line, column, detail))

    def _code(self) -> str:
        code = self._cells["code"]
        if not CODE.fullmatch(code):
            self._fault("code", "1 to 32 letters, digits, - or _: a code, never a name")
        return code

    def _word(self, column: str, words: Words, *, required: bool = False) -> str:
        text = self._cells.get(column, "")
        if not text and not required:
            return ""
        code = words.code_of(text)
        if code is None:
            self._fault(column, "is not a known word of this column")
        return code or ""

    def _list(self, column: str, words: Words) -> tuple[str, ...]:
        parts = [part.strip() for part in _SEPARATORS.split(self._cells.get(column, ""))]
        codes = [words.code_of(part) for part in parts if part]
        if None in codes:
            self._fault(column, "holds a word that is not known")
        return tuple(dict.fromkeys(code for code in codes if code is not None))

    def _duty(self) -> Duty:
        try:
            return parse_duty(self._cells["duty"])
        except ValueError as error:
            self._fault("duty", str(error))
            return Duty("off", ())

    def _figure(self, column: str, most: float) -> float | None:
        text = self._cells.get(column, "")
        if not text:
            return None
        if not _NUMBER.fullmatch(text) or float(text) > most:
            self._fault(column, f"a number from 0 to {most:g}")
            return None
        return float(text)

    def _whole(self, column: str, most: int) -> int:
        text = self._cells[column]
        if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > most:
            self._fault(column, f"a whole number from 0 to {most}")
            return 0
        return int(text)
