"""Input files of batches on disk: streamed in, kept while their batch runs, then deleted.

They hold patients' words and pictures: the folder and the files are readable by their owner only,
names on disk are ids of ours and nothing that a caller chose, and nothing is ever unpacked.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serving.errors import PayloadTooLarge, StorageUnavailable

_CHUNK = 1 << 20
_UPLOADING = ".new-"
_ABANDONED_S = 24 * 3600.0


class InputLost(Exception):
    """The file is not there, or no longer what was accepted."""


class InputHeld(Exception):
    """Another process works on the batch."""


@dataclass(frozen=True)
class Spooled:
    """A file that has arrived whole: where it lies, its sha256 and its size in bytes."""

    path: Path
    sha256: str
    size: int


class Inputs:
    """The folder of input files. `keep` and `open` know a file by its batch's id."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when the first file comes."""
        self._folder = folder.resolve()

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
        """The file, checked against its hash and held for this process alone. Blocking.

        Raises InputLost, or InputHeld while another process holds it.
        """
        try:
            file = self._path(batch_id).open("rb")
        except OSError:
            raise InputLost from None
        with file:
            try:
                # The kernel lets go of it when the process dies, however it dies.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputHeld from None
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise InputLost
            file.seek(0)
            yield file

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
                if path.name not in wanted and not young:
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
