"""The static files of the pages: our own style and scripts, and htmx under `vendor/`."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).with_name("static")


def files() -> StaticFiles:
    """What is mounted at /static."""
    return StaticFiles(directory=FOLDER)


@lru_cache(maxsize=64)
def url(name: str) -> str:
    """A file's address with a part of its hash, so that a new release is never a stale page."""
    digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
