"""Questions that passages are known to answer: a layman's words beside the guideline's.

A query is compared by meaning with them as with passages; what a question gains, the passages gain
that answer it, and a little their whole document. Only our cards have such questions. Comparing by
words gained nothing: what two questions share is mostly their story.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge_base.embedder import Embedder
from knowledge_base.search.entry import Entry
from knowledge_base.search.lexical import Scores

_BEST = 3
"""Passages of a document that speak for it: one alone may be chance."""


class Asked:
    """Questions by number, passages by position.

    vectors: [questions, d]; question, passage: [m], each question with each passage that answers
    it; document: [size], the number of each passage's document, ascending over documents that have
    questions, -1 for others.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        question: NDArray[np.int32],
        passage: NDArray[np.int32],
        document: NDArray[np.int32],
    ) -> None:
        self._vectors, self._question, self._passage = vectors, question, passage
        self._document = document
        self._known = np.flatnonzero(document >= 0)
        counts = np.bincount(document[self._known]) if len(self._known) else np.zeros(0, np.intp)
        self._places = np.concatenate([np.arange(count) for count in counts] or [counts])
        self._shape = (len(counts), int(max(counts, default=0)))

    @classmethod
    def build(cls, entries: Iterable[Entry], embedder: Embedder) -> Asked:
        """Passages in their order, those of a document together."""
        questions: dict[str, int] = {}
        documents: dict[str, int] = {}
        question, passage, document = [], [], []
        for position, entry in enumerate(entries):
            for text in entry.asked:
                question.append(questions.setdefault(text, len(questions)))
                passage.append(position)
            known = bool(entry.asked) or entry.document in documents
            document.append(documents.setdefault(entry.document, len(documents)) if known else -1)
        nothing = np.empty((0, embedder.dimension), dtype=np.float32)
        return cls(
            embedder.embed(list(questions)) if questions else nothing,
            np.array(question, dtype=np.int32),
            np.array(passage, dtype=np.int32),
            np.array(document, dtype=np.int32),
        )

    def similarities(self, query: NDArray[np.float32]) -> tuple[Scores, Scores]:
        """How near each passage's best question comes, and its document's best passages on
        average; both [size], 0 where there is no question."""
        own = np.zeros(len(self._document), dtype=np.float32)
        if not len(self._vectors):
            return own, own
        np.maximum.at(own, self._passage, (self._vectors @ query)[self._question])
        table = np.zeros(self._shape, dtype=np.float32)
        of = self._document[self._known]
        table[of, self._places] = own[self._known]
        best = np.sort(table, axis=1)[:, -_BEST:].mean(axis=1)
        around = np.zeros_like(own)
        around[self._known] = best[of]
        return own, around

    def save(self, folder: Path) -> None:
        """Into an existing folder, for `load`."""
        np.save(folder / "asked.vectors.npy", self._vectors)
        np.savez(
            folder / "asked.npz",
            question=self._question,
            passage=self._passage,
            document=self._document,
        )

    @classmethod
    def load(cls, folder: Path) -> Asked:
        """As saved; the vectors are mapped."""
        with np.load(folder / "asked.npz") as kept:
            rows = (kept["question"], kept["passage"], kept["document"])
        return cls(np.load(folder / "asked.vectors.npy", mmap_mode="r"), *rows)
