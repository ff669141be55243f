"""Files by their content: images and heat maps under the sha256 of their bytes.

A blob is written whole or not at all, never changed, and checked when it is read. The folder
holds the bytes (`ab/cd/abcd…`), the database their media type and size. A name that is not a
sha256 never reaches the file system.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete

from serving.errors import InternalError, InvalidInput, NotFound
from serving.storage.database import Database
from serving.storage.insert import insert_if_absent
from serving.storage.tables import BlobRow

SHA256 = re.compile(r"[0-9a-f]{64}")
_NEW = ".new-"
MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,49}/[a-z0-9.+-]{1,49}")


@dataclass(frozen=True)
class BlobInfo:
    """What is known of a blob. `size` is in bytes."""

    sha256: str
    media_type: str
    size: int
    created_at: datetime


class BlobStore:
    """Blobs in a folder, readable by its owner only; what is known of them in the database."""

    def __init__(self, folder: Path, db: Database) -> None:
        """`folder` is made when the first blob comes."""
        self.folder = folder.resolve()
        self._db = db

    def put(self, data: bytes, media_type: str) -> BlobInfo:
        """Keep the bytes; the same bytes again are kept once, under their first media type.

        Raises InvalidInput for a malformed media type.
        """
        if not MEDIA_TYPE.fullmatch(media_type):
            raise InvalidInput("not a media type")
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        row = {
            "sha256": digest,
            "media_type": media_type,
            "size": len(data),
            "created_at": self._db.clock.now(),
        }
        # The row first: whatever a crash leaves on the disk, a sweep finds it by its row.
        with self._db.write() as session:
            insert_if_absent(session, BlobRow, row)
            info = _info(session.get_one(BlobRow, digest))
        if not _holds(path, digest):
            _write_whole(path, data)
        return info

    def remove(self, sha256: str) -> None:
        """Forget a blob, with what an interrupted writing of it left. Again does nothing.

        Only for one that nothing points to, and while nobody can be putting it. Raises NotFound
        for what is no sha256.
        """
        path = self._path(sha256)
        path.unlink(missing_ok=True)
        for litter in path.parent.glob(_NEW + "*"):
            litter.unlink(missing_ok=True)
        with self._db.write() as session:
            session.execute(delete(BlobRow).where(BlobRow.sha256 == sha256))

    def get(self, sha256: str) -> bytes:
        """The bytes. Raises NotFound, or InternalError when they are not what was kept."""
        path = self._path(sha256)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound("no such blob") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InternalError("a stored file was altered")
        return data

    def info(self, sha256: str) -> BlobInfo:
        """What is known of a blob. Raises NotFound."""
        held = self._path(sha256).is_file()
        with self._db.read() as session:
            row = session.get(BlobRow, sha256)
            if row is None or not held:
                raise NotFound("no such blob")
            return _info(row)

    def exists(self, sha256: str) -> bool:
        """Whether the bytes are here. False for what is no sha256 at all."""
        return bool(SHA256.fullmatch(sha256)) and self._path(sha256).is_file()

    def _path(self, sha256: str) -> Path:
        if not SHA256.fullmatch(sha256):
            raise NotFound("no such blob")
        return self.folder / sha256[:2] / sha256[2:4] / sha256


def _holds(path: Path, digest: str) -> bool:
    """Whether the file is there and sound: a damaged one is written again."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False


def _write_whole(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, rename: a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_NEW)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _info(row: BlobRow) -> BlobInfo:
    return BlobInfo(row.sha256, row.media_type, row.size, row.created_at)
