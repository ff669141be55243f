"""Input files of batches on disk: streamed in, kept while their batch runs, then deleted.

They hold patients' words and pictures: the folder and the files are readable by their owner only,
names on disk are ids of ours and nothing that a caller chose, and nothing is ever unpacked.

A folder has a name of its own, kept in a file inside of it: servers that share the folder know it
by that, and a server with another folder knows that an input is not lost but elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serving.clock import Ids
from serving.errors import PayloadTooLarge, StorageUnavailable

NAME_FILE = ".folder"
_CHUNK = 1 << 20
_UPLOADING = ".new-"
_ABANDONED_S = 24 * 3600.0


class InputLost(Exception):
    """The folder is there, but the file is not in it, or is no longer what was accepted."""


@dataclass(frozen=True)
class Spooled:
    """A file that has arrived whole: where it lies, its sha256 and its size in bytes."""

    path: Path
    sha256: str
    size: int


class Inputs:
    """The folder of input files. `keep` and `open` know a file by its batch's id.

    `name` is the folder's own, as long as it exists, wherever and by how many it is mounted.
    """

    def __init__(self, folder: Path, ids: Ids) -> None:
        """Makes the folder, and its name where it has none. Raises StorageUnavailable."""
        self._folder = folder.resolve()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.name = self._named() or self._christen(ids.new("fld"))
        except OSError as error:
            raise StorageUnavailable("the folder of batches cannot be used") from error

    @contextlib.asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[Spooled]:
        """Write what arrives to a file of its own, deleted at the end unless `keep` took it.

        Holds one mebibyte in memory however large the file. Raises PayloadTooLarge beyond `limit`
        bytes and StorageUnavailable when the disk takes no more.
        """
        handle, name = await asyncio.to_thread(self._new)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                digest, size = hashlib.sha256(), 0
                waiting = bytearray()

                def write(data: bytes) -> None:
                    digest.update(data)
                    file.write(data)

                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise PayloadTooLarge(f"at most {limit} bytes")
                    waiting += chunk
                    if len(waiting) >= _CHUNK:
                        await asyncio.to_thread(write, bytes(waiting))
                        waiting.clear()
                await asyncio.to_thread(write, bytes(waiting))
                await asyncio.to_thread(os.fsync, file.fileno())
            yield Spooled(path, digest.hexdigest(), size)
        except OSError as error:
            raise StorageUnavailable("the file could not be kept") from error
        finally:
            path.unlink(missing_ok=True)

    def keep(self, spooled: Spooled, batch_id: str) -> None:
        """Give the file its batch's name. Blocking."""
        os.replace(spooled.path, self._path(batch_id))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def open(self, batch_id: str, sha256: str) -> Iterator[BinaryIO]:
        """The file, checked against its hash. Blocking.

        Raises InputLost, or StorageUnavailable where it cannot be told whether it is there: the
        disk fails, or another folder lies in this one's place (a volume that is not mounted).
        """
        with self._checked(batch_id, sha256) as file:
            yield file

    def _checked(self, batch_id: str, sha256: str) -> BinaryIO:
        try:
            with contextlib.ExitStack() as stack:
                file = stack.enter_context(self._path(batch_id).open("rb"))
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise InputLost
                file.seek(0)
                stack.pop_all()
                return file
        except FileNotFoundError:
            if self._named() != self.name:
                raise StorageUnavailable("the folder of batches is away") from None
            raise InputLost from None
        except OSError as error:
            raise StorageUnavailable("the input of a batch cannot be read now") from error

    def has(self, batch_id: str) -> bool:
        """Whether there is a file of that batch. Blocking."""
        return self._path(batch_id).is_file()

    def delete(self, batch_id: str) -> None:
        """Forget a file; none is no error. Blocking."""
        self._path(batch_id).unlink(missing_ok=True)

    def sweep(self, wanted: frozenset[str]) -> int:
        """Delete what a crash left behind; returns how many files. Blocking.

        Files of batches that are not `wanted`, a day after they were written: a younger one may
        be on its way to its batch.
        """
        gone = 0
        if not self._folder.is_dir():
            return gone
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                young = time.time() - path.stat().st_mtime < _ABANDONED_S
                if path.name not in wanted and path.name != NAME_FILE and not young:
                    path.unlink()
                    gone += 1
        return gone

    def _new(self) -> tuple[int, str]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return tempfile.mkstemp(dir=self._folder, prefix=_UPLOADING)
        except OSError as error:
            raise StorageUnavailable("the file could not be kept") from error

    def _path(self, batch_id: str) -> Path:
        return self._folder / batch_id

    def _named(self) -> str | None:
        """The name that stands in the folder; None where there is none."""
        try:
            return (self._folder / NAME_FILE).read_text(encoding="ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _christen(self, name: str) -> str:
        """Give the folder a name; the one it has where another server was first."""
        handle, written = tempfile.mkstemp(dir=self._folder, prefix=_UPLOADING)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(name)
        place = self._folder / NAME_FILE
        try:
            # Linking puts the whole name there at once, and fails where there is one.
            os.link(written, place)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(written, place)
        finally:
            Path(written).unlink(missing_ok=True)
        return place.read_text(encoding="ascii")
