"""A zip archive from outside: judged by its directory before anything in it is read.

Nothing is ever unpacked to disk. What an archive may be is narrow on purpose: entries stored or
deflated, no passwords, no links, no ZIP64, names that stay inside. Sizes that the directory states
are bounds for reading, so a directory that lies yields less than it promised, never more.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from serving.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia

_END = b"PK\x05\x06"
_END_SIZE = 22
_LOCATOR_64 = b"PK\x06\x07"
_LOCATOR_64_SIZE = 20
_ENTRY = b"PK\x01\x02"
_BYTES_PER_ENTRY = 1_024
_NAME_LIMIT = 255
_RATIO_FROM = 1_000_000
_RATIO = 200
"""Compression by more than this, from a megabyte on, is no picture and no text."""
_NAME_ENCODINGS = ("utf-8", "gb18030", "cp437")
"""Of names without the UTF-8 flag, in the order in which they are tried on all of an archive: as
macOS writes them, as a Chinese Windows does, and what APPNOTE appendix D says."""
_LEFTOVERS = frozenset({".DS_Store", "Thumbs.db"})
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError
)  # fmt: skip


class EntryDamaged(InvalidInput):
    """One entry cannot be read; the others may."""


@dataclass(frozen=True)
class ArchiveLimits:
    """Most entries, and most bytes of all entries together once unpacked."""

    entries: int
    unpacked_bytes: int


@dataclass(frozen=True)
class Entry:
    """A file of the archive: its name with `/`, and its size in bytes as the directory has it."""

    name: str
    size: int


class Archive:
    """An archive whose directory was found harmless. Not for several threads at once."""

    def __init__(self, file: BinaryIO, limits: ArchiveLimits) -> None:
        """Raises UnsupportedMedia, InvalidInput or PayloadTooLarge; see the module docstring."""
        _check_end(file, limits)
        self._zip = _open(file)
        found = [info for info in self._zip.infolist() if not _is_leftover(info)]
        _check_names(found)
        for info in found:
            _check_entry(info)
        if sum(info.file_size for info in found) > limits.unpacked_bytes:
            raise PayloadTooLarge(f"at most {limits.unpacked_bytes} bytes once unpacked")
        self._infos = {info.filename: info for info in found}
        self.entries = tuple(Entry(info.filename, info.file_size) for info in found)

    def read(self, name: str, limit: int) -> bytes:
        """An entry's bytes. Raises PayloadTooLarge beyond `limit`, or EntryDamaged."""
        if self._infos[name].file_size > limit:
            raise PayloadTooLarge(f"at most {limit} bytes")
        info = self._infos[name]
        # The directory may lie: reading so many bytes and one more inflates no more than that.
        with _damage_said(), self._zip.open(info) as stream:
            data = stream.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise EntryDamaged("the entry is not as long as the directory says")
        return data

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """An entry as a stream. Raises EntryDamaged, also while it is read."""
        with _damage_said(), self._zip.open(self._infos[name]) as stream:
            yield io.BufferedReader(stream)  # type: ignore[type-var]


@contextlib.contextmanager
def _damage_said() -> Iterator[None]:
    """Turns what `zipfile` raises for a broken entry into EntryDamaged."""
    try:
        yield
    except _DAMAGE:
        raise EntryDamaged("the entry cannot be read") from None


def _open(file: BinaryIO) -> zipfile.ZipFile:
    """The archive, with names read as whoever packed it will have written them."""
    with contextlib.suppress(zipfile.BadZipFile, ValueError, NotImplementedError):
        for encoding in _NAME_ENCODINGS:
            with contextlib.suppress(UnicodeDecodeError):
                return zipfile.ZipFile(file, metadata_encoding=encoding)
    raise UnsupportedMedia("the file is no sound zip archive")


def _check_end(file: BinaryIO, limits: ArchiveLimits) -> None:
    """Judge the directory before `zipfile` builds an object for each of its entries.

    The end record (APPNOTE 4.3.16) must be the last 22 bytes: without a comment there is one
    place only where any reader can find it.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_SIZE - _LOCATOR_64_SIZE))
    tail = file.read()
    end = tail[-_END_SIZE:]
    if len(end) < _END_SIZE or not end.startswith(_END) or not end.endswith(b"\0\0"):
        raise UnsupportedMedia("the file is no whole zip archive, or one with a comment")
    if tail.startswith(_LOCATOR_64):
        raise UnsupportedMedia("ZIP64 archives are not read")
    directory, offset = (int.from_bytes(end[at : at + 4], "little") for at in (12, 16))
    if directory > limits.entries * _BYTES_PER_ENTRY:
        raise PayloadTooLarge(f"at most {limits.entries} files")
    if offset + directory + _END_SIZE != size:
        raise UnsupportedMedia("the file is no zip archive alone")
    file.seek(offset)
    # Every entry begins with these bytes, whatever number the end record states.
    if file.read(directory).count(_ENTRY) > limits.entries:
        raise PayloadTooLarge(f"at most {limits.entries} files")
    file.seek(0)


def _is_leftover(info: zipfile.ZipInfo) -> bool:
    """Folders, and what operating systems leave in archives."""
    name = info.filename
    return info.is_dir() or name.startswith("__MACOSX/") or name.split("/")[-1] in _LEFTOVERS


def _check_names(infos: Sequence[zipfile.ZipInfo]) -> None:
    """No name leads out of the archive, none is there twice. Names are not said: they may be
    patients'."""
    seen = set()
    for info in infos:
        # What zipfile has after it cut at a NUL must be what the directory says.
        name = info.filename
        odd = name != info.orig_filename or not name.isprintable() or len(name) > _NAME_LIMIT
        if odd or "\\" in name or ":" in name or {"", ".", ".."} & set(name.split("/")):
            raise InvalidInput("a name in the archive is not allowed")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise InvalidInput("two files of the archive have one name")
        seen.add(folded)


def _check_entry(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise InvalidInput("encrypted archives are not read")
    if info.compress_type not in _METHODS:
        raise InvalidInput("only stored and deflated files are read")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InvalidInput("links are not read")
    if info.file_size > _RATIO_FROM and info.file_size > _RATIO * info.compress_size:
        raise PayloadTooLarge(f"a file is compressed by more than {_RATIO}")
