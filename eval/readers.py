"""Reads benchmark files: JSON Lines (plain or gzip), image zips with labels.csv, MedMNIST npz.

Every fault is a BenchmarkError that names the file and the line or image; no content of a row
is ever in it. Formats are told by the first bytes, not by the name.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eval.result import BenchmarkError
from models.imaging.decode import DecodedImage, ImageRejected, colour_spread, decode, luminance

_GZIP, _ZIP = b"\x1f\x8b", b"PK"


@dataclass(frozen=True)
class Line:
    """One JSON object of a file with its line number, counted from 1."""

    file: str
    number: int
    values: Mapping[str, object]

    def fault(self, message: str) -> BenchmarkError:
        """An error that names this line."""
        return BenchmarkError(f"{self.file}, line {self.number}: {message}")

    @property
    def id(self) -> str:
        """The row's id where it has one, else its line number."""
        given = self.values.get("id")
        return str(given) if isinstance(given, str | int) else f"line {self.number}"

    def text(self, field: str, *, optional: bool = False, strip: bool = True) -> str:
        """A text field; `""` where an optional one is absent or null."""
        value = self.values.get(field)
        if optional and value is None:
            return ""
        if not isinstance(value, str):
            raise self.fault(f"{field!r} must be text")
        return value.strip() if strip else value


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BenchmarkError(f"no file {path}")
    return path


def read_lines(path: Path) -> list[Line]:
    """Every object of a JSON Lines file; blank lines are skipped, an empty file is an error."""
    raw = _existing(path).read_bytes()
    try:
        data = gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except (OSError, EOFError) as error:
        raise BenchmarkError(f"{path.name}: the gzip data is damaged or cut off") from error
    lines = []
    for number, part in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not part.strip():
            continue
        try:
            values = json.loads(part.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BenchmarkError(f"{path.name}, line {number}: not UTF-8 text") from error
        except ValueError as error:
            raise BenchmarkError(f"{path.name}, line {number}: not JSON") from error
        if not isinstance(values, dict):
            raise BenchmarkError(f"{path.name}, line {number}: not a JSON object")
        lines.append(Line(path.name, number, values))
    if not lines:
        raise BenchmarkError(f"{path.name}: the file is empty")
    return lines


class ImageSet(Protocol):
    """Labelled images. `columns` holds one text per image under each column's name."""

    @property
    def names(self) -> tuple[str, ...]:
        """A name per image."""
        ...

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The label columns."""
        ...

    def images(self, rows: Sequence[int] | None = None) -> Iterator[DecodedImage]:
        """The decoded images in order, one at a time; `rows` picks some by number."""
        ...


@dataclass(frozen=True)
class ZipImages:
    """`images/*` and `labels.csv` (file, then label columns) in a zip."""

    path: Path
    names: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]

    def images(self, rows: Sequence[int] | None = None) -> Iterator[DecodedImage]:
        """See `ImageSet.images`."""
        names = self.names if rows is None else [self.names[i] for i in rows]
        with zipfile.ZipFile(self.path) as archive:
            for name in names:
                try:
                    yield decode(archive.read(f"images/{name}"))
                except KeyError as error:
                    raise BenchmarkError(
                        f"{self.path.name}: labels.csv names {name}, images/ lacks it"
                    ) from error
                except (ImageRejected, zipfile.BadZipFile) as error:
                    raise BenchmarkError(f"{self.path.name}, {name}: {error}") from error


@dataclass(frozen=True)
class ArrayImages:
    """Images [N, H, W] or [N, H, W, 3] uint8 of an npz; names are row numbers from 0."""

    pixels: npt.NDArray[np.uint8]
    columns: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """See `ImageSet.names`."""
        return tuple(f"image {i}" for i in range(len(self.pixels)))

    def images(self, rows: Sequence[int] | None = None) -> Iterator[DecodedImage]:
        """Grey pixels, and colours where the array has them."""
        for image in self.pixels if rows is None else self.pixels[list(rows)]:
            grey = image.astype(np.float32) / np.float32(255.0)
            if grey.ndim == 3:
                plain = luminance(image)
                yield DecodedImage(plain, "png", colour=colour_spread(image), rgb=image)
            else:
                yield DecodedImage(grey, "png")


def read_images(path: Path) -> ImageSet:
    """A zip with labels.csv or a MedMNIST npz (its test part, else val, else train)."""
    if not _existing(path).read_bytes()[:2].startswith(_ZIP):
        raise BenchmarkError(f"{path.name}: neither a zip with labels.csv nor an npz")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if "labels.csv" in members:
                return _labelled_zip(path, archive)
    except zipfile.BadZipFile as error:
        raise BenchmarkError(f"{path.name}: the zip is damaged or cut off") from error
    if any(name.endswith(".npy") for name in members):
        return _medmnist(path)
    raise BenchmarkError(f"{path.name}: the zip holds no labels.csv")


def _labelled_zip(path: Path, archive: zipfile.ZipFile) -> ZipImages:
    with archive.open("labels.csv") as handle:
        try:
            table = list(csv.reader(io.TextIOWrapper(handle, encoding="utf-8-sig")))
        except (UnicodeDecodeError, csv.Error) as error:
            raise BenchmarkError(f"{path.name}: labels.csv is not UTF-8 CSV") from error
    if not table or "file" not in table[0]:
        raise BenchmarkError(f"{path.name}: labels.csv has no column 'file'")
    header, rows = table[0], []
    for number, row in enumerate(table[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise BenchmarkError(
                f"{path.name}: labels.csv, line {number}: {len(row)} fields, not {len(header)}"
            )
        rows.append(row)
    if not rows:
        raise BenchmarkError(f"{path.name}: labels.csv is empty")
    columns = {name: tuple(row[i] for row in rows) for i, name in enumerate(header)}
    names = columns.pop("file")
    return ZipImages(path, names, columns)


def _medmnist(path: Path) -> ArrayImages:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            part = next((p for p in ("test", "val", "train") if f"{p}_images" in arrays), None)
            if part is None:
                raise BenchmarkError(f"{path.name}: the npz holds no test, val or train images")
            pixels, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BenchmarkError(f"{path.name}: the npz is not a MedMNIST set") from error
    if len(pixels) == 0:
        raise BenchmarkError(f"{path.name}: the {part} part is empty")
    if pixels.dtype != np.uint8 or len(labels) != len(pixels):
        raise BenchmarkError(f"{path.name}: the npz is not a MedMNIST set")
    codes = tuple(str(int(value)) for value in np.reshape(labels, (len(labels), -1))[:, 0])
    return ArrayImages(pixels, {"label": codes})
