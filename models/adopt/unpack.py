"""Opens the archives in which models are handed over, without believing them.

Only plain files and folders below the target are written; links, devices, absolute paths and `..`
are refused, and so is what would unpack to more than a limit, whatever its headers say.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from models.errors import ModelRefused

MAX_MEMBERS = 2_000
_BLOCK = 1 << 20


def is_archive(path: Path) -> bool:
    """Whether the name says .zip, .tar, .tar.gz or .tgz (a PyTorch checkpoint is a zip, too)."""
    return path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def unpack(archive: Path, target: Path, max_bytes: int) -> Path:
    """Unpack into the new folder `target`; returns it, or the one folder that holds everything.

    Raises ModelRefused. What was written until then stays in `target`: unpack into a folder that
    is thrown away.
    """
    target.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, target, max_bytes)
        else:
            _untar(archive, target, max_bytes)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        # RuntimeError: zipfile's word for an encrypted member; the others, a broken archive.
        raise ModelRefused(f"{archive.name}: not a readable archive ({error})") from error
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def check_zip_size(archive: Path, max_bytes: int) -> None:
    """Refuse a zip whose members say that they are larger than `max_bytes` together."""
    try:
        with zipfile.ZipFile(archive) as opened:
            total = sum(member.file_size for member in opened.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelRefused(f"{archive.name}: not a readable archive ({error})") from error
    if total > max_bytes:
        raise ModelRefused(f"{archive.name}: unpacks to more than {max_bytes:,} bytes")


def _unzip(archive: Path, target: Path, max_bytes: int) -> None:
    left = max_bytes
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        _few(archive, len(members))
        for member in members:
            place = _place(archive, member.filename, target)
            kind = member.external_attr >> 28  # the Unix file type; 0 where none is given
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            elif kind not in (0, 8):
                raise ModelRefused(f"{archive.name}: {member.filename} is not a plain file")
            else:
                with opened.open(member) as source:
                    left = _write(archive, source, place, left)


def _untar(archive: Path, target: Path, max_bytes: int) -> None:
    left = max_bytes
    with tarfile.open(archive) as opened:
        for number, member in enumerate(opened):
            _few(archive, number + 1)
            place = _place(archive, member.name, target)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            source = opened.extractfile(member) if member.isreg() else None
            if source is None:
                raise ModelRefused(f"{archive.name}: {member.name} is not a plain file")
            left = _write(archive, source, place, left)


def _few(archive: Path, members: int) -> None:
    if members > MAX_MEMBERS:
        raise ModelRefused(f"{archive.name}: more than {MAX_MEMBERS} members")


def _place(archive: Path, name: str, target: Path) -> Path:
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if outside or "\0" in name:
        raise ModelRefused(f"{archive.name}: a member's path leads outside of the archive")
    return target / path


def _write(archive: Path, source: IO[bytes], place: Path, left: int) -> int:
    """Copy a member; returns how many bytes are left. Counts what comes, not what was announced."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as out:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ModelRefused(f"{archive.name}: unpacks to more than the size limit")
            out.write(block)
    return left


def copy_plain(source: Path, target: Path, max_bytes: int) -> None:
    """Copy a folder's files into the new folder `target`; refuses links and what is too large."""
    target.mkdir(parents=True)
    total = 0
    for number, path in enumerate(sorted(source.rglob("*"))):
        _few(source, number + 1)
        place = target / path.relative_to(source)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelRefused(f"{path.name}: not a plain file")
        if path.is_dir():
            place.mkdir(exist_ok=True)
            continue
        total += path.stat().st_size
        if total > max_bytes:
            raise ModelRefused(f"{source.name}: larger than {max_bytes:,} bytes")
        shutil.copyfile(path, place)
