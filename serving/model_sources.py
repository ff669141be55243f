"""Where a model to be added lies: a path or an http(s) address, as one local file or folder.

Used by the command line only: a running server never fetches anything. What arrives is as
untrusted as its address; `models/adopt` and `training/adopt` judge it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.adopt.unpack import copy_plain, is_archive, unpack
from models.errors import ModelRefused
from models.repository import sha256_of
from serving.model_download import Progress, download, is_address

_SHA256 = re.compile(r"^[0-9a-fA-F]{64}$")


@contextmanager
def opened(
    source: str,
    *,
    whole: bool,
    max_bytes: int,
    sha256: str | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Iterator[Path]:
    """The model at `source` as a local path, gone after the `with`.

    `whole`: the model is a folder, so an archive is unpacked. `sha256`: what the one file must
    have. Raises ModelRefused.
    """
    if sha256 is not None and not _SHA256.match(sha256):
        raise ModelRefused("a sha256 has 64 hexadecimal digits")
    with tempfile.TemporaryDirectory(prefix="fenzhen-add-") as scratch:
        place = Path(scratch)
        if is_address(source):
            found = download(
                source, place / "download", max_bytes=max_bytes, checked=sha256 is not None,
                progress=progress,
            )  # fmt: skip
        else:
            found = Path(source)
            if not found.exists():
                raise ModelRefused(f"there is no {found.name or source}")
        if sha256 is not None:
            _check_sha256(found, sha256)
        if found.is_dir() and whole:
            # A copy: what is checked is what is installed, whoever else writes to the folder.
            copy_plain(found, place / "copy", max_bytes)
            found = place / "copy"
        elif found.is_file() and whole and is_archive(found):
            found = unpack(found, place / "unpacked", max_bytes)
        yield found


def _check_sha256(path: Path, wanted: str) -> None:
    if not path.is_file():
        raise ModelRefused("--sha256 is of one file, not of a folder")
    if sha256_of(path) != wanted.lower():
        raise ModelRefused(f"{path.name}: sha256 differs from the one given")
