"""The library: documents, chunks and their origins in one SQLite file.

A file is put in whole or not at all, so whatever stops an ingestion leaves a library that can be
read, and the next run goes on where it ended. One process writes at a time; any may read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from knowledge_base.language import Language
from knowledge_base.library import near_duplicates
from knowledge_base.library.chunking import Chunk
from knowledge_base.library.document import Document
from knowledge_base.library.origin import Origin

Status = Literal["taken", "broken"]

_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, recipe TEXT NOT NULL, status TEXT NOT NULL,
  problem TEXT NOT NULL, taken_at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS documents (
  id TEXT PRIMARY KEY, file TEXT NOT NULL REFERENCES files(path) ON DELETE CASCADE,
  title TEXT NOT NULL, origin TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS documents_of_file ON documents(file);
CREATE TABLE IF NOT EXISTS chunks (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  document TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  path TEXT NOT NULL, text TEXT NOT NULL, language TEXT NOT NULL, start INTEGER NOT NULL,
  page INTEGER, same_as INTEGER REFERENCES chunks(number) ON DELETE SET NULL) STRICT;
CREATE INDEX IF NOT EXISTS chunks_of_document ON chunks(document);
CREATE INDEX IF NOT EXISTS chunks_same_as ON chunks(same_as);
CREATE TABLE IF NOT EXISTS bands (
  band INTEGER NOT NULL, value INTEGER NOT NULL,
  chunk INTEGER NOT NULL REFERENCES chunks(number) ON DELETE CASCADE,
  PRIMARY KEY (band, value, chunk)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bands_of_chunk ON bands(chunk);
"""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of the library."""

    id: str
    file: str
    title: str
    origin: Origin
    chunks: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with the document that it is of; `number` orders the library."""

    number: int
    document: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class FileState:
    """What the library knows of a file; `recipe` is how it was read, `problem` why it was not."""

    sha256: str
    recipe: str
    status: Status
    problem: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one file."""

    documents: int
    chunks: int
    duplicates: int


class Library:
    """One library file. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def files(self) -> dict[str, FileState]:
        """Every file that was ever taken or found broken, by path."""
        rows = self._db.execute("SELECT path, sha256, recipe, status, problem FROM files")
        return {path: FileState(*rest) for path, *rest in rows}

    def put(
        self,
        file: str,
        state: FileState,
        content: Sequence[tuple[str, Document, Origin, Sequence[Chunk]]],
        at: datetime,
    ) -> Taken:
        """Replace what a file gave before. content: (id, document, origin, chunks) each."""
        with self._writing() as db:
            self._forget(db, [file])
            db.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)",
                (file, state.sha256, state.recipe, state.status, state.problem, at.isoformat()),
            )
            count = duplicates = 0
            for identity, document, origin, pieces in content:
                db.execute(
                    "INSERT INTO documents VALUES (?, ?, ?, ?)",
                    (identity, file, document.title, origin.model_dump_json()),
                )
                for piece in pieces:
                    duplicates += self._add(db, identity, piece)
                count += len(pieces)
        return Taken(len(content), count, duplicates)

    def _add(self, db: sqlite3.Connection, document: str, chunk: Chunk) -> bool:
        """Store a chunk; whether it is a near-duplicate of one that is there."""
        hashes = near_duplicates.shingles(chunk.text)
        marks = near_duplicates.bands(hashes)
        same = self._same_as(db, hashes, marks)
        number = db.execute(
            "INSERT INTO chunks (id, document, path, text, language, start, page, same_as)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (chunk.id, document, json.dumps(chunk.path, ensure_ascii=False), chunk.text,
             chunk.language, chunk.start, chunk.page, same),
        ).lastrowid  # fmt: skip
        if same is None:
            self._mark(db, number, marks)
        return same is not None

    @staticmethod
    def _mark(db: sqlite3.Connection, number: int | None, marks: Sequence[int]) -> None:
        """Let later chunks find this one as the same as themselves."""
        db.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?, ?)",
            [(band, value, number) for band, value in enumerate(marks)],
        )

    @staticmethod
    def _same_as(db: sqlite3.Connection, hashes: np.ndarray, marks: Sequence[int]) -> int | None:
        """The first chunk that says the same."""
        where = " OR ".join("(band = ? AND value = ?)" for _ in marks)
        rows = db.execute(
            "SELECT DISTINCT number, text FROM bands JOIN chunks ON chunk = number"
            f" WHERE {where} ORDER BY number",
            [part for pair in enumerate(marks) for part in pair],
        )
        for number, text in rows:
            if near_duplicates.alike(hashes, near_duplicates.shingles(text)):
                return int(number)
        return None

    def _forget(self, db: sqlite3.Connection, files: Iterable[str]) -> None:
        """Delete what files gave; what was a duplicate of it stands for itself from now on."""
        for file in files:
            db.execute("DELETE FROM files WHERE path = ?", (file,))
        orphans = db.execute(
            "SELECT number, text FROM chunks WHERE same_as IS NULL AND number NOT IN"
            " (SELECT chunk FROM bands)"
        ).fetchall()
        for number, text in orphans:
            hashes = near_duplicates.shingles(text)
            marks = near_duplicates.bands(hashes)
            same = self._same_as(db, hashes, marks)
            if same is None:
                self._mark(db, number, marks)
            else:
                db.execute("UPDATE chunks SET same_as = ? WHERE number = ?", (same, number))

    def forget(self, files: Iterable[str]) -> None:
        """Take files and all that they gave out of the library."""
        with self._writing() as db:
            self._forget(db, files)

    def documents(self) -> Iterator[StoredDocument]:
        """Every document by id."""
        rows = self._db.execute(
            "SELECT d.id, d.file, d.title, d.origin, COUNT(c.number), COUNT(c.same_as)"
            " FROM documents d LEFT JOIN chunks c ON c.document = d.id GROUP BY d.id ORDER BY d.id"
        )
        for identity, file, title, origin, count, duplicates in rows:
            yield StoredDocument(
                identity, file, title, Origin.model_validate_json(origin), count, duplicates
            )

    def chunks(self) -> Iterator[StoredChunk]:
        """What is searched: every chunk that is no duplicate, in the order of the library."""
        rows = self._db.execute(
            "SELECT number, document, id, path, text, language, start, page FROM chunks"
            " WHERE same_as IS NULL ORDER BY number"
        )
        for number, document, identity, path, text, language, start, page in rows:
            yield StoredChunk(
                number,
                document,
                Chunk(identity, tuple(json.loads(path)), text, _language(language), start, page),
            )


def _language(code: str) -> Language:
    return "zh" if code == "zh" else "en"
