"""Indexes on disk: each version a folder that never changes, one pointer to the one that counts.

    FOLDER/current                     the name of the version that is served
    FOLDER/VERSION/index.json, entries.sqlite3, lexical.*, dense.*, filters.npz, topics.*, wholes/,
                                       asked.*

A version is built in a folder of its own and renamed when it is complete; then the pointer is
replaced, which no reader can see halfway. Whatever stops a build leaves what was served before.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from zipfile import BadZipFile

from knowledge_base.embedder import Embedder
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.search.asked import Asked
from knowledge_base.search.dense import DenseIndex
from knowledge_base.search.entry import Entry, Kind, loaded
from knowledge_base.search.filters import FilterTable
from knowledge_base.search.index import Entries, KnowledgeIndex
from knowledge_base.search.lexical import LexicalIndex
from knowledge_base.search.surroundings import Topics, Wholes

FORMAT = 2
"""Raised whenever the files change: an older index is then built anew, not misread."""
KEPT = 3
"""Versions that stay on disk, the served one among them."""
_POINTER, _ABOUT, _ENTRIES = "current", "index.json", "entries.sqlite3"
_BUILDING = ".building-"


class NoIndex(Exception):
    """There is no index that can be served; the message says why."""


@dataclass(frozen=True, slots=True)
class About:
    """What a version is made of. embedder: the model's name and version."""

    format: int
    version: str
    embedder: str
    built_at: str
    cards: int
    documents: int
    passages: int


class StoredEntries:
    """Passages by position, read when they are asked for; a connection for each thread."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size, self._local = path, size, threading.local()
        if not path.is_file():
            raise FileNotFoundError(path)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, position: int) -> Entry:
        if not 0 <= position < self._size:
            raise IndexError(position)
        row = self._db().execute("SELECT entry FROM entries WHERE position = ?", (position,))
        return loaded(row.fetchone()[0])

    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
            self._local.db = db
        return db


def publish(index: KnowledgeIndex, embedder: str, folder: Path, now: datetime) -> About:
    """Write an index that was built in memory as a version, and serve it from now on.

    embedder: name and version of the model behind its vectors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    entries = index.entries
    version = f"{now:%Y%m%dT%H%M%S}-{index.version}"
    building = folder / f"{_BUILDING}{uuid.uuid4().hex}"
    building.mkdir()
    try:
        index.save(building)
        _write_entries(building / _ENTRIES, entries)
        about = About(
            FORMAT, version, embedder, now.isoformat(),
            cards=_documents(entries, "card"),
            documents=_documents(entries, "document"),
            passages=len(entries),
        )  # fmt: skip
        (building / _ABOUT).write_text(json.dumps(asdict(about), indent=1), encoding="utf-8")
        _flush(building)
        building.rename(folder / version)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    serve(folder, version)
    for old in versions(folder)[:-KEPT]:
        if old.version != version:
            shutil.rmtree(folder / old.version)
    return about


def serve(folder: Path, version: str) -> None:
    """Point to a version that is there. Raises NoIndex for another."""
    if version not in {about.version for about in versions(folder)}:
        raise NoIndex(f"there is no version {version}")
    aside = folder / f"{_POINTER}.{uuid.uuid4().hex}"
    aside.write_text(version, encoding="utf-8")
    aside.replace(folder / _POINTER)


def current(folder: Path) -> str | None:
    """The version that is served; None before the first."""
    try:
        return (folder / _POINTER).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def versions(folder: Path) -> list[About]:
    """Every complete version, the oldest first."""
    complete = (p for p in sorted(folder.glob(f"*/{_ABOUT}")) if p.parent.name[0] != ".")
    return [About(**json.loads(path.read_text(encoding="utf-8"))) for path in complete]


def open_index(folder: Path, embedder: Embedder, embedder_name: str) -> KnowledgeIndex:
    """The served version; its arrays are mapped from disk.

    Raises NoIndex where there is none, or none that this software and this model can read.
    """
    version = current(folder)
    if version is None:
        raise NoIndex("no index has been built")
    place = folder / version
    try:
        about = About(**json.loads((place / _ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise NoIndex(f"version {version} cannot be read") from error
    if about.format != FORMAT:
        raise NoIndex(f"version {version} is of format {about.format}, this software's is {FORMAT}")
    if about.embedder != embedder_name:
        raise NoIndex(f"version {version} was built with {about.embedder}, not {embedder_name}")
    vocabulary = lexicon()
    try:
        return KnowledgeIndex(
            StoredEntries(place / _ENTRIES, about.passages),
            LexicalIndex.load(place),
            DenseIndex.load(place),
            FilterTable.load(place),
            Topics.load(place, vocabulary),
            Wholes.load(place),
            Asked.load(place),
            embedder,
            vocabulary,
            version,
        )
    # What numpy, faiss and json raise for files that are missing or cut off.
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, BadZipFile) as error:
        raise NoIndex(f"version {version} is damaged: {type(error).__name__}") from error


def _documents(entries: Entries, kind: Kind) -> int:
    return len({entry.document for entry in _all(entries) if entry.kind == kind})


def _all(entries: Entries) -> Iterator[Entry]:
    return (entries[position] for position in range(len(entries)))


def _write_entries(path: Path, entries: Entries) -> None:
    db = sqlite3.connect(path)
    try:
        with db:
            db.execute("CREATE TABLE entries (position INTEGER PRIMARY KEY, entry BLOB NOT NULL)")
            rows = ((position, entry.dumped()) for position, entry in enumerate(_all(entries)))
            db.executemany("INSERT INTO entries VALUES (?, ?)", rows)
    finally:
        db.close()


def _flush(folder: Path) -> None:
    """On the disk before anything points to it."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())


def _sweep(folder: Path) -> None:
    """What builds that were stopped have left."""
    for left in folder.glob(f"{_BUILDING}*"):
        shutil.rmtree(left, ignore_errors=True)
