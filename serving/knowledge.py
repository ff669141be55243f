"""The knowledge that is served: the index built last, or the cards alone while there is none.

`fenzhen kb build` puts a new version beside the served one; the server takes it over between two
questions, without a restart. A version that cannot be read changes nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog

from knowledge_base.embedder import Embedder
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.search.versions import NoIndex, current, open_index

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0


class ServedKnowledge:
    """`index` is the one to ask now; hold it for the length of one request."""

    def __init__(self, folder: Path, embedder: Embedder, embedder_name: str) -> None:
        self._folder, self._embedder, self._name = folder, embedder, embedder_name
        self._refused: str | None = None
        self.index = self._opened() or KnowledgeIndex.build(embedder)

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
        """Look for a new version now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(OSError):  # a disk that is away for a moment
                await asyncio.to_thread(self.refresh)
