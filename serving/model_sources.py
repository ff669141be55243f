"""Where a model to be added lies: a path or an http(s) address, as one local file or folder.

Used by the command line only: a running server never fetches anything. What arrives is as
untrusted as its address; `models/adopt` and `training/adopt` judge it.
"""

from __future__ import annotations

import hashlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from models.adopt.unpack import copy_plain, is_archive, unpack
from models.errors import ModelRefused

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and, where the server said so, of all."""
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20


def is_address(source: str) -> bool:
    """Whether `source` is an address and no path."""
    return source.lower().startswith(("http://", "https://"))


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
    with tempfile.TemporaryDirectory(prefix="fenzhen-add-") as scratch:
        place = Path(scratch)
        if is_address(source):
            found = _download(source, place / "download", max_bytes, progress)
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
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != wanted.lower():
            raise ModelRefused(f"{path.name}: sha256 differs from the one given")


def _opener() -> urllib.request.OpenerDirector:
    """http and https only, redirects included: nothing that reads files or speaks ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPRedirectHandler(), urllib.request.UnknownHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _download(address: str, folder: Path, max_bytes: int, progress: Progress) -> Path:
    """The file at an address; never names the address's query, which may hold a key."""
    parts = urlsplit(address)
    name = PurePosixPath(unquote(parts.path)).name
    if not name or name in (".", "..") or "\0" in name:
        raise ModelRefused("the address names no file")
    folder.mkdir()
    path = folder / name[-200:]
    try:
        with _opener().open(address, timeout=_TIMEOUT_S) as answer, path.open("xb") as out:
            announced = answer.headers.get("Content-Length", "")
            total = int(announced) if announced.isdecimal() else None
            done = 0
            while block := answer.read(_BLOCK):
                done += len(block)
                if done > max_bytes or (total or 0) > max_bytes:
                    raise ModelRefused(f"{path.name}: larger than {max_bytes:,} bytes")
                out.write(block)
                progress(done, total)
    except urllib.error.HTTPError as error:
        raise ModelRefused(f"{parts.hostname} answers {error.code} for {path.name}") from error
    except (OSError, ValueError) as error:
        # URLError is an OSError; http.client's complaints of a broken answer are ValueErrors.
        raise ModelRefused(f"{path.name} cannot be fetched from {parts.hostname}") from error
    if total is not None and done != total:
        raise ModelRefused(f"{path.name}: {done:,} of {total:,} bytes arrived")
    return path
