"""The knowledge that is served: the index built last, or the cards alone while there is none.

`fenzhen kb build` puts a new version beside the served one; the server takes it over between two
questions, without a restart. A version that cannot be read changes nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import structlog

from knowledge_base.embedder import Embedder
from knowledge_base.search.catalogue import Catalogue
from knowledge_base.search.entry import Reader
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.search.versions import About, NoIndex, current, open_index, versions
from serving.storage.codes import Role
from serving.users import User

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0


def reader_of(user: User) -> Reader | None:
    """As whom a user reads: a patients' program sees what patients may see, staff everything."""
    return "patient" if user.role is Role.PATIENT_APP else None


class ServedKnowledge:
    """`index` is the one to ask now; hold it for the length of one request."""

    def __init__(self, folder: Path, embedder: Embedder, embedder_name: str) -> None:
        self._folder, self._embedder, self._name = folder, embedder, embedder_name
        self._refused: str | None = None
        self.index = self._opened() or KnowledgeIndex.build(embedder)
        self._listing = threading.Lock()
        self._listed: tuple[KnowledgeIndex, Catalogue] | None = None

    def catalogue(self) -> Catalogue:
        """The documents of the index that is served now. Blocking: the first call walks over it."""
        index = self.index
        with self._listing:
            if self._listed is None or self._listed[0] is not index:
                self._listed = index, Catalogue(index.entries, index.version)
            return self._listed[1]

    def built(self) -> list[About]:
        """Every version on disk, the oldest first; none where they cannot be read."""
        try:
            return versions(self._folder)
        except (OSError, ValueError, TypeError) as error:
            log.warning("knowledge versions cannot be read", why=type(error).__name__)
            return []

    def _opened(self) -> KnowledgeIndex | None:
        """The version that the pointer names; None, with a line in the log, if it cannot be."""
        version = current(self._folder)
        if version is None or version == self._refused:
            return None
        try:
            return open_index(self._folder, self._embedder, self._name)
        except NoIndex as error:
            self._refused = version
            log.warning("knowledge index not taken over", why=str(error))
            return None

    def refresh(self) -> None:
        """Take over a version that was built since; the old one serves until it is open."""
        if current(self._folder) in (None, self.index.version):
            return
        found = self._opened()
        if found is not None:
            self.index = found
            log.info("knowledge index taken over", version=found.version)

    async def keep_up(self) -> None:
        """Look for a new version now and then, until cancelled, and list what is in it."""
        while True:
            with suppress(OSError, sqlite3.Error):  # a disk that is away for a moment
                await asyncio.to_thread(self.refresh)
                await asyncio.to_thread(self.catalogue)
            await asyncio.sleep(LOOK_EVERY_S)
