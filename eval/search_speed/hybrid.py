"""Our side: hybrid search as it is built by `fenzhen kb build` and served."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eval.result import BenchmarkError
from eval.search_speed.worker import Search, memory, peak
from knowledge_base.embedder import Embedder
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.search.versions import NoIndex, open_index, publish
from models.embedder import HostedEmbedder
from models.repository import ModelRepository
from models.tasks.embedding import EmbeddingTask

K = 10
SEARCHING = ("KnowledgeIndex.search", "KnowledgeIndex.candidates")
"""What the stages of a query are looked for in."""
_BUILDING = ("build", "KnowledgeIndex.build", "publish")
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True)
class Built:
    """What building took. stages: seconds; sizes in MB; read_mb: resident before the indexing.

    vectors: embedded texts; a card's bullet has one for each language.
    """

    seconds: float
    stages: dict[str, float]
    read_mb: float
    peak_mb: float
    disk_mb: float
    chunks: int
    halved: int
    documents: int
    passages: int
    vectors: int
    embedder: str


def build(data: Path, chunks: int, folder: Path) -> Built:
    """Cut the documents, index them with the shipped cards and publish the index in `folder`."""
    from eval.progress import status
    from eval.search_speed.corpus import read_corpus
    from eval.search_speed.stages import Stages

    embedder, name = _embedder()
    began = time.perf_counter()
    with status("building") as say, Stages(_BUILDING, _LOOK_EVERY_S, say) as watched:
        corpus = read_corpus(data, chunks)
        further = list(corpus.entries())
        read_mb = memory().resident
        index = KnowledgeIndex.build(embedder, further=further)
        entries = index.entries
        about = publish(index, name, folder, datetime.now(UTC))
    return Built(
        seconds=time.perf_counter() - began,
        stages=watched.seconds,
        read_mb=read_mb,
        peak_mb=peak(),
        disk_mb=sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6,
        chunks=len(corpus.chunks),
        halved=corpus.halved,
        documents=about.documents,
        passages=about.passages,
        vectors=sum(len(entries[n].shown) for n in range(len(entries))),
        embedder=name,
    )


def open_hybrid(folder: Path) -> Search:
    """The published index, as a server opens it."""
    index = opened(folder)
    return lambda query: len(index.search(query, k=K))


def opened(folder: Path) -> KnowledgeIndex:
    """The published index. Raises BenchmarkError where it cannot be read."""
    embedder, name = _embedder()
    try:
        return open_index(folder, embedder, name)
    except NoIndex as error:
        raise BenchmarkError(str(error)) from error


def _embedder() -> tuple[Embedder, str]:
    entry = ModelRepository(allow_noncommercial=True).get(EmbeddingTask.model)
    return HostedEmbedder.of(entry), entry.identity
