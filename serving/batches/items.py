"""The rows of an input file, in order, one at a time: never the whole file in memory.

JSON Lines: every line that is not blank is a row. A zip of `.jsonl` files: their lines, file
after file in the order of the archive. A zip of images: one row per image in that order. The same
file always has the same rows, which is what a batch resumes by.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import BinaryIO

from serving.batches import patients
from serving.batches.archive import Archive, ArchiveLimits, EntryDamaged
from serving.batches.patients import Line
from serving.errors import FenzhenError, InvalidInput, PayloadTooLarge, UnsupportedMedia
from serving.imaging_records import UNSAID, Patient
from serving.settings import Settings

_LINES = (".jsonl", ".ndjson")
_SPARE_ENTRIES = 16
_BOM = b"\xef\xbb\xbf"
_ZIP = b"PK"


class Form(StrEnum):
    """How the rows of a batch came."""

    JSONL = "jsonl"
    ZIP = "zip"


@dataclass(frozen=True)
class Reading:
    """What a row may be: `row_bytes` at most; images, or lines of JSON."""

    form: Form
    images: bool
    row_bytes: int
    rows: int
    unpacked_bytes: int

    @classmethod
    def of(cls, settings: Settings, form: Form, *, images: bool) -> Reading:
        """The limits of the settings."""
        return cls(
            form=form,
            images=images,
            row_bytes=settings.max_image_bytes if images else settings.max_body_bytes,
            rows=settings.batch_max_rows,
            unpacked_bytes=settings.batch_max_unpacked_bytes,
        )


@dataclass(frozen=True)
class Item:
    """One row: its number from 1, the file it came in, its bytes; or why it cannot be read.

    patient: what is said of an image's patient beside it.
    """

    number: int
    file: str | None
    data: bytes = b""
    patient: Patient = UNSAID
    fault: FenzhenError | None = None


def count(file: BinaryIO, reading: Reading) -> int:
    """How many rows a file has; reads it once. Raises for a file that is no input at all:

    UnsupportedMedia, InvalidInput (also without a row) or PayloadTooLarge.
    """
    if reading.form is Form.JSONL:
        if reading.images:
            raise UnsupportedMedia("images come in a zip archive")
        if file.read(len(_ZIP)) == _ZIP:
            raise UnsupportedMedia("this is a zip archive: send it as application/zip")
        file.seek(0)
    number = 0
    for number, _ in enumerate(_rows(file, reading), start=1):
        if number > reading.rows:
            raise PayloadTooLarge(f"at most {reading.rows} rows")
    if number == 0:
        raise InvalidInput("there is no row in it")
    return number


def items(
    file: BinaryIO, reading: Reading, *, skip: Collection[int]
) -> Generator[Item, None, None]:
    """The rows whose numbers are not to be skipped. Raises only what `count` would have raised."""
    for number, make in enumerate(_rows(file, reading), start=1):
        if number not in skip:
            yield make(number)


_Make = Callable[[int], Item]
"""Reads a row, given its number: who counts or skips rows does not pay for their content."""


def _rows(file: BinaryIO, reading: Reading) -> Iterator[_Make]:
    if reading.form is Form.JSONL:
        yield from _lines(file, None, reading)
        return
    archive = Archive(file, ArchiveLimits(reading.rows + _SPARE_ENTRIES, reading.unpacked_bytes))
    if reading.images:
        yield from _images(archive, reading)
        return
    if any(not entry.name.lower().endswith(_LINES) for entry in archive.entries):
        raise InvalidInput(f"only files ending in {' or '.join(_LINES)} belong in the archive")
    for entry in archive.entries:
        with archive.open(entry.name) as lines:
            yield from _lines(lines, entry.name, reading)


def _images(archive: Archive, reading: Reading) -> Iterator[_Make]:
    table, images = patients.split(archive)
    names = [entry.name for entry in images]
    known = patients.read(archive, table, names) if table else {}
    for name in names:
        line = known.get(name, patients.UNKNOWN)
        yield partial(_image, archive, name, line, reading.row_bytes)


def _image(archive: Archive, name: str, line: Line, limit: int, number: int) -> Item:
    if line.fault is not None:
        return Item(number, name, fault=line.fault)
    try:
        return Item(number, name, archive.read(name, limit), line.patient)
    except (EntryDamaged, PayloadTooLarge) as fault:
        return Item(number, name, fault=fault)


def _lines(file: BinaryIO, name: str | None, reading: Reading) -> Iterator[_Make]:
    """Lines that are not blank, without holding more of a longer one than a row may have."""
    first, limit = True, reading.row_bytes
    while line := file.readline(limit + 1):
        too_long = len(line) > limit and not line.endswith(b"\n")
        while too_long and (rest := file.readline(limit)) and not rest.endswith(b"\n"):
            pass
        data = (line.removeprefix(_BOM) if first else line).strip()
        first = False
        if too_long:
            yield partial(Item, file=name, fault=PayloadTooLarge(f"at most {limit} bytes a row"))
        elif data:
            yield partial(Item, file=name, data=data)
