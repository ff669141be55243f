"""The retrieval benchmark: hybrid search over a collection in BEIR's layout.

    FOLDER/corpus.jsonl      {"_id", "title", "text"} a line
    FOLDER/queries.jsonl     {"_id", "text"} a line
    FOLDER/qrels/*.tsv       query-id, corpus-id, score; one file, or `test.tsv` of several

Each file may be gzipped. Documents are cut and indexed as the library's are; a document stands
where its best passage does. Queries without a relevant document are left out, as in BEIR.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.estimates import mean
from eval.progress import track
from eval.result import BenchmarkError, Details, Miss, Scored
from eval.training_sets import learned_from
from knowledge_base.library.chunking import chunks
from knowledge_base.library.document import Document, Outline, Unreadable
from knowledge_base.library.origin import Origin
from knowledge_base.library.store import StoredChunk, StoredDocument
from knowledge_base.search.entry import Entry, document_entries
from knowledge_base.search.index import KnowledgeIndex, SearchHit
from models.embedder import HostedEmbedder
from models.repository import ModelRepository
from models.tasks.embedding import EmbeddingTask

CUT = 10
DEPTH = 100
_PASSAGES = 400
_MOST_MISSES = 25


@dataclass(frozen=True)
class Collection:
    """corpus: documents by id; queries: text by id; relevant: score by document, for each query."""

    corpus: Mapping[str, Document]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]


def read_collection(folder: Path) -> Collection:
    """The collection in a folder. Raises BenchmarkError naming the file that is wrong."""
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: retrieval needs a folder in BEIR's layout")
    corpus: dict[str, Document] = {}
    for key, row in _rows(folder, "corpus"):
        outline = Outline()
        outline.paragraphs(_text(row, "text", "corpus"))
        title = row.get("title")
        try:
            corpus[key] = outline.document(title if isinstance(title, str) else "")
        except Unreadable:
            continue  # BEIR's sets hold empty documents, which nothing can find
    queries = {key: _text(row, "text", "queries") for key, row in _rows(folder, "queries")}
    relevant = _relevant(folder)
    unknown = relevant.keys() - queries.keys()
    if unknown:
        raise BenchmarkError(f"qrels: no query {min(unknown)}")
    return Collection(corpus, queries, relevant)


def _rows(folder: Path, name: str) -> Iterator[tuple[str, dict[str, object]]]:
    seen: set[str] = set()
    for number, line in enumerate(_opened(folder, f"{name}.jsonl"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key = str(row["_id"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BenchmarkError(f"{name}.jsonl: line {number} has no _id or is no JSON") from error
        if key in seen:
            raise BenchmarkError(f"{name}.jsonl: line {number}: {key} came before")
        seen.add(key)
        yield key, row


def _text(row: Mapping[str, object], key: str, name: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise BenchmarkError(f"{name}.jsonl: {row['_id']} has no {key}")
    return value


def _relevant(folder: Path) -> dict[str, dict[str, int]]:
    found = sorted((folder / "qrels").glob("*.tsv*"))
    chosen = [p for p in found if p.name.startswith("test.")] if len(found) > 1 else found
    if len(chosen) != 1:
        raise BenchmarkError("qrels: expected one .tsv, or a test.tsv among several")
    relevant: dict[str, dict[str, int]] = {}
    name = chosen[0].name.removesuffix(".gz")
    rows = csv.reader(_opened(folder / "qrels", name), delimiter="\t")
    for number, row in enumerate(rows, start=1):
        if number == 1 and row[-1:] == ["score"]:
            continue
        try:
            query, document, score = row[0], row[1], int(row[2])
        except (IndexError, ValueError) as error:
            raise BenchmarkError(f"{name}: line {number} is not query, id, score") from error
        if score > 0:
            relevant.setdefault(query, {})[document] = score
    if not relevant:
        raise BenchmarkError(f"{name}: no query has a relevant document")
    return relevant


def _opened(folder: Path, name: str) -> Iterator[str]:
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        data = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
        return iter(io.StringIO(data.decode("utf-8")))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{name} is missing or cannot be read") from error


def score(folder: Path, repository: ModelRepository) -> Scored:
    """Index the collection and ask every query that has an answer."""
    collection = read_collection(folder)
    entry = repository.get(EmbeddingTask.model)
    index = KnowledgeIndex.build(HostedEmbedder.of(entry), {}, _entries(collection.corpus))
    asked = [key for key in collection.queries if key in collection.relevant]
    rankings = [
        rankings_of(index, collection.queries[key]) for key in track(asked, len(asked), "retrieval")
    ]
    ranked = [one.hybrid for one in rankings]
    wanted = [collection.relevant[key] for key in asked]
    per_query = {
        "ndcg_at_10": [ndcg(r, w) for r, w in zip(ranked, wanted, strict=True)],
        "mrr_at_10": [reciprocal_rank(r, w) for r, w in zip(ranked, wanted, strict=True)],
        "recall_at_100": [recall(r, w) for r, w in zip(ranked, wanted, strict=True)],
        "hits_at_10": [
            float(reciprocal_rank(r, w) > 0) for r, w in zip(ranked, wanted, strict=True)
        ],
        "mrr_at_10_words": [
            reciprocal_rank(r.words, w) for r, w in zip(rankings, wanted, strict=True)
        ],
        "mrr_at_10_meaning": [
            reciprocal_rank(r.meaning, w) for r, w in zip(rankings, wanted, strict=True)
        ],
    }
    worst = sorted(range(len(asked)), key=lambda i: per_query["ndcg_at_10"][i])[:_MOST_MISSES]
    return Scored(
        n=len(asked),
        estimates={name: mean(values) for name, values in per_query.items()},
        models={"embedding": entry.manifest.version},
        details=Details(
            data=(
                f"{len(collection.corpus):,} documents, {len(index.entries):,} passages,"
                f" {len(asked):,} queries.",
            ),
            method=(
                "Hybrid search as it is served; a document stands where its best passage does."
                " Gains are the scores of the qrels, as in trec_eval. `words` and `meaning`: each"
                " half of the search alone.",
            ),
            warnings=learned_from(entry.manifest, folder.name),
            misses=tuple(
                Miss(
                    asked[i], " ".join(wanted[i])[:80], " ".join(ranked[i][:3]),
                    f"nDCG@10 {per_query['ndcg_at_10'][i]:.2f}",
                )
                for i in worst
            ),
            misses_title="Worst queries: what was wanted, and the first three found",
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Rankings:
    """Documents, best first, at most `DEPTH`: of the search as it is served, and of each half."""

    hybrid: Sequence[str]
    words: Sequence[str]
    meaning: Sequence[str]


def rankings_of(index: KnowledgeIndex, query: str) -> Rankings:
    """The three rankings of one query."""
    hits = index.search(query, k=_PASSAGES)
    return Rankings(
        _documents(hits),
        _documents(sorted((h for h in hits if h.lexical_rank), key=lambda h: h.lexical_rank or 0)),
        _documents(sorted((h for h in hits if h.dense_rank), key=lambda h: h.dense_rank or 0)),
    )


def _documents(hits: Sequence[SearchHit]) -> list[str]:
    return list(dict.fromkeys(hit.entry.document for hit in hits))[:DEPTH]


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """nDCG@10 with the scores as gains (Järvelin and Kekäläinen 2002, as trec_eval computes it)."""
    gains = [relevant.get(document, 0) for document in ranked[:CUT]]
    ideal = sorted(relevant.values(), reverse=True)[:CUT]
    return _discounted(gains) / _discounted(ideal)


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """1 / rank of the first relevant document among the first ten, else 0."""
    ranks = (rank for rank, document in enumerate(ranked[:CUT], start=1) if document in relevant)
    return 1.0 / next(ranks, float("inf"))


def recall(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Share of the relevant documents among the first hundred."""
    return len(relevant.keys() & set(ranked[:DEPTH])) / len(relevant)


def _discounted(gains: Sequence[int]) -> float:
    return float(sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1)))


def _entries(corpus: Mapping[str, Document]) -> Iterator[Entry]:
    origin = Origin(licence="own", audience="both")
    documents = [StoredDocument(k, k, d.title, origin, 0, 0) for k, d in corpus.items()]
    pieces = ((k, chunk) for k, d in corpus.items() for chunk in chunks(d, k))
    stored = (StoredChunk(number, k, chunk) for number, (k, chunk) in enumerate(pieces))
    return document_entries(documents, stored)
