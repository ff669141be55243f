"""The documents that are searched, and what is asked: real ones, of the public text sets.

Each chunk occurs once. Where the documents give fewer than are wanted, the longest are cut in two
at a sentence; `Corpus.halved` says how many.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from eval.readers import Line, read_lines
from eval.result import BenchmarkError
from knowledge_base.library.chunking import Chunk, chunks, weight
from knowledge_base.library.document import Document, Outline, Unreadable
from knowledge_base.library.origin import Origin
from knowledge_base.library.sentences import sentences
from knowledge_base.library.store import StoredChunk, StoredDocument
from knowledge_base.search.entry import Entry, document_entries

_SEED = 7
_DISEASES, _ANSWERS = "zh_diseases.jsonl.gz", "medquad.jsonl.gz"
_CONSULTS = (
    "zh_consult_internal.train.jsonl.gz",
    "zh_consult_internal.dev.jsonl.gz",
    "zh_consult_all.dev.jsonl",
)
_SECTIONS = {
    "overview": "概述",
    "symptom_text": "症状",
    "cause": "病因",
    "prevention": "预防",
    "nursing": "护理",
}
_SYMPTOMS = 3


@dataclass(frozen=True)
class Corpus:
    """Documents by id and their chunks, each with its document's id."""

    documents: dict[str, Document]
    chunks: list[tuple[str, Chunk]]
    halved: int

    def entries(self) -> Iterator[Entry]:
        """As the library gives them to the index."""
        origin = Origin(licence="own", audience="both")
        stored = (StoredDocument(k, k, d.title, origin, 0, 0) for k, d in self.documents.items())
        pieces = (StoredChunk(n, k, chunk) for n, (k, chunk) in enumerate(self.chunks))
        return document_entries(stored, pieces)


def read_corpus(data: Path, wanted: int) -> Corpus:
    """So many chunks of the sets in `data/text`. Raises BenchmarkError where there are fewer."""
    outlined = (
        (f"{kind}/{line.number}", line, outline)
        for kind, outline, line in _turn_by_turn(
            ("disease", _disease, _shuffled(data, _DISEASES)),
            ("answer", _answer, _shuffled(data, _ANSWERS)),
            *((f"consult{n}", _consult, _shuffled(data, f)) for n, f in enumerate(_CONSULTS)),
        )
    )
    return chunked(((key, outline(line)) for key, line, outline in outlined), wanted)


def chunked(documents: Iterable[tuple[str, Document | None]], wanted: int) -> Corpus:
    """The first `wanted` chunks of (id, document), each text once; None is an empty document."""
    corpus = Corpus({}, [], 0)
    seen: set[str] = set()
    for key, document in documents:
        if document is None:
            continue
        for chunk in chunks(document, key):
            if chunk.text not in seen:
                seen.add(chunk.text)
                corpus.documents[key] = document
                corpus.chunks.append((key, chunk))
        if len(corpus.chunks) >= wanted:
            return replace(corpus, chunks=corpus.chunks[:wanted])
    return _halved(corpus, wanted - len(corpus.chunks))


def read_queries(data: Path, count: int) -> list[str]:
    """Distinct queries, Chinese and English in turn: a disease with symptoms, and a question.

    They come in the order of the documents that `read_corpus` takes, so a small corpus answers
    the first of them.
    """
    asked: dict[str, list[str]] = {
        "zh": [
            f"{line.text('name')}，{'、'.join(found[:_SYMPTOMS])}"
            for line in _shuffled(data, _DISEASES)
            if (found := _listed(line, "symptoms"))
        ],
        "en": [line.text("question") for line in _shuffled(data, _ANSWERS)],
    }
    halves = [list(dict.fromkeys(texts)) for texts in asked.values()]
    if count > 2 * min(map(len, halves)):
        raise BenchmarkError(f"there are {2 * min(map(len, halves)):,} queries, not {count:,}")
    pairs = zip(*(half[: count - count // 2] for half in halves), strict=True)
    return list(chain.from_iterable(pairs))[:count]


def _shuffled(data: Path, name: str) -> list[Line]:
    """A set's rows, the same order every time: as they stand, sources and diseases are in heaps."""
    lines = read_lines(data / "text" / name)
    random.Random(_SEED).shuffle(lines)
    return lines


_Outlined = Callable[[Line], Document | None]


def _turn_by_turn(
    *sources: tuple[str, _Outlined, list[Line]],
) -> Iterator[tuple[str, _Outlined, Line]]:
    """One row of each source in turn, so that a small corpus has both languages too."""
    for row in zip_longest(*(lines for _, _, lines in sources)):
        for (kind, outline, _), line in zip(sources, row, strict=True):
            if line is not None:
                yield kind, outline, line


def _disease(line: Line) -> Document | None:
    """Prose of a disease, each field a section."""
    outline = Outline()
    for field, heading in _SECTIONS.items():
        outline.heading(1, heading)
        outline.paragraphs("\n".join(_listed(line, field)))
    return _document(outline, line.text("name"))


def _answer(line: Line) -> Document | None:
    outline = Outline()
    outline.paragraphs(line.text("answer"))
    return _document(outline, line.text("question"))


def _consult(line: Line) -> Document | None:
    outline = Outline()
    for field in ("text", "answer"):
        outline.paragraphs(line.text(field, optional=True))
    return _document(outline, line.text("title", optional=True))


def _document(outline: Outline, title: str) -> Document | None:
    try:
        return outline.document(title)
    except Unreadable:
        return None  # some rows are empty, and nothing can find those


def _listed(line: Line, field: str) -> list[str]:
    """A field that holds a text or several."""
    value = line.values.get(field)
    several = value if isinstance(value, list) else [value]
    return [item for item in several if isinstance(item, str)]


def _halved(corpus: Corpus, missing: int) -> Corpus:
    """The corpus with `missing` more chunks: the longest in two."""
    parts = {n: halves for n, (_, c) in enumerate(corpus.chunks) if (halves := _halves(c))}
    longest = sorted(parts, key=lambda n: -weight(corpus.chunks[n][1].text))[:missing]
    if len(longest) < missing:
        most = len(corpus.chunks) + len(parts)
        raise BenchmarkError(f"the documents give {most:,} chunks at most")
    cut = set(longest)
    pieces: list[tuple[str, Chunk]] = []
    for number, (key, chunk) in enumerate(corpus.chunks):
        pieces += [(key, half) for half in parts[number]] if number in cut else [(key, chunk)]
    return replace(corpus, chunks=pieces, halved=missing)


def _halves(chunk: Chunk) -> Sequence[Chunk]:
    """The two parts at the sentence that begins nearest to the middle; nothing for one sentence."""
    begins = [start for start, _ in sentences(chunk.text)][1:]
    if not begins:
        return ()
    at = min(begins, key=lambda start: abs(2 * start - len(chunk.text)))
    first, second = chunk.text[:at].rstrip(), chunk.text[at:]
    return (
        replace(chunk, id=f"{chunk.id}-a", text=first),
        replace(chunk, id=f"{chunk.id}-b", text=second, start=chunk.start + at),
    )
