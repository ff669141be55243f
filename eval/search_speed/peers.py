"""The peers: BM25 alone by bm25s and by rank_bm25, over the very tokens that our index holds.

A peer's answer to a query counts from the query's text to the numbers of the ten best passages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.search_speed.worker import Search, peak
from knowledge_base.tokeniser import tokenise

K = 10
_TOKENS, _WORDS, _BM25S = "tokens.npz", "words.json", "bm25s"


class Peer(NamedTuple):
    """needs: the package; opener: function of this module; every: it gets each n-th query, because
    it is slow; saved: it opens what `build_bm25s` has saved."""

    needs: str
    opener: str
    every: int = 1
    saved: bool = True


PEERS = {
    "bm25s": Peer("bm25s", "open_bm25s"),
    "bm25s, numba": Peer("numba", "open_bm25s_numba"),
    "rank_bm25": Peer("rank_bm25", "open_rank_bm25", every=20, saved=False),
}


def installed(peer: Peer) -> bool:
    """Whether its package is there."""
    return find_spec(peer.needs) is not None


def write_tokens(index: Path, folder: Path) -> None:
    """The words of every passage of a published index, in order, for the peers to read."""
    from eval.search_speed.hybrid import opened
    from knowledge_base.search.lexical import Terms

    ids: dict[str, int] = {}
    numbers: list[NDArray[np.int32]] = []
    entries = opened(index).entries
    for entry in (entries[position] for position in range(len(entries))):
        words = Terms.of(*(shown.indexed for shown in entry.shown.values())).words
        found = [ids.setdefault(word, len(ids)) for word in words]
        numbers.append(np.array(found, dtype=np.int32))
    ends = np.cumsum([len(document) for document in numbers])
    np.savez(folder / _TOKENS, tokens=np.concatenate(numbers), ends=ends)
    (folder / _WORDS).write_text(json.dumps(list(ids), ensure_ascii=False), encoding="utf-8")


def build_bm25s(folder: Path) -> tuple[float, float]:
    """Index the tokens and save the index; seconds and peak memory in MB."""
    import bm25s

    words, documents = _read(folder)
    ids = {word: number for number, word in enumerate(words)}
    corpus = [document.tolist() for document in documents]
    began = time.perf_counter()
    retriever = bm25s.BM25()
    retriever.index((corpus, ids), show_progress=False)
    retriever.save(folder / _BM25S, show_progress=False)
    return time.perf_counter() - began, peak()


def open_bm25s(folder: Path) -> Search:
    """The saved index, in numpy."""
    return _bm25s(folder, "numpy")


def open_bm25s_numba(folder: Path) -> Search:
    """The saved index, with the compiled retrieval."""
    return _bm25s(folder, "numba")


def _bm25s(folder: Path, backend: str) -> Search:
    import logging

    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    retriever = bm25s.BM25.load(
        folder / _BM25S, show_progress=False, override_params={"backend": backend}
    )

    def search(query: str) -> int:
        tokens = tokenise(query)
        if not tokens:
            return 0  # the compiled retrieval refuses a query without any
        # "auto" would take JAX for the selection wherever that is installed.
        _, scores = retriever.retrieve(
            [tokens], k=K, show_progress=False, backend_selection=backend
        )
        return int(np.count_nonzero(scores))

    return search


def open_rank_bm25(folder: Path) -> Search:
    """It saves no index: opening builds one."""
    from rank_bm25 import BM25Okapi

    words, documents = _read(folder)
    # From one list of words, so that each is one object and not one for every occurrence.
    ranked = BM25Okapi([words[number] for number in document] for document in documents)

    def search(query: str) -> int:
        scores = ranked.get_scores(tokenise(query))
        best = np.argsort(scores)[::-1][:K]  # as its own get_top_n
        return int(np.count_nonzero(scores[best]))

    return search


def _read(folder: Path) -> tuple[list[str], Iterator[NDArray[np.int32]]]:
    words: list[str] = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
    with np.load(folder / _TOKENS) as kept:
        tokens, ends = kept["tokens"], kept["ends"]
    return words, iter(np.split(tokens, ends[:-1]))
