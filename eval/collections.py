"""Collections in BEIR's layout out of the public text sets, for `fenzhen eval retrieval`.

    python -m eval.collections NAME --data-dir DATA OUT

    medquad      answers without their questions; 2,000 questions; relevant: the same focus, its
                 case ignored
    zh_diseases  an encyclopedia without its descriptions of symptoms; these are the queries, the
                 disease's own name masked; relevant: the disease
    hpo_zh_en    English names of phenotypes, Chinese ones ask; hpo_en_zh: the reverse

Of zh_diseases and the phenotypes only what the embedding model never learned from asks: those whose
key falls into its fixed twentieth, and no phenotype that our lexicon names.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.tokeniser import fold

Row = Mapping[str, object]

_QUESTIONS = 2_000
_LONGEST_QUERY = 200
_PROSE = ("overview", "cause", "prevention", "nursing")


@dataclass(frozen=True)
class Made:
    """Rows of corpus and queries, and for each query the documents that answer it."""

    corpus: Sequence[dict[str, str]]
    queries: Mapping[str, str]
    relevant: Mapping[str, Sequence[str]]

    def write(self, folder: Path) -> None:
        """In BEIR's layout."""
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        _write(folder / "corpus.jsonl", self.corpus)
        asked = [{"_id": key, "text": text} for key, text in self.queries.items()]
        _write(folder / "queries.jsonl", asked)
        lines = ["query-id\tcorpus-id\tscore"]
        lines += [f"{q}\t{d}\t1" for q, listed in self.relevant.items() for d in listed]
        (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def medquad(data: Path) -> Made:
    """Rows by number: MedQuAD's own ids are not unique."""
    rows = [row for row in _rows(data, "medquad") if _text(row, "answer")]
    corpus = [
        {"_id": str(n), "title": "", "text": _text(row, "answer")} for n, row in enumerate(rows)
    ]
    by_focus: dict[str, list[str]] = {}
    for number, row in enumerate(rows):
        by_focus.setdefault(_text(row, "focus").lower(), []).append(str(number))
    chosen = random.Random(0).sample(range(len(rows)), min(_QUESTIONS, len(rows)))
    return Made(
        corpus,
        {f"q{n}": _text(rows[n], "question") for n in chosen},
        {f"q{n}": by_focus[_text(rows[n], "focus").lower()] for n in chosen},
    )


def zh_diseases(data: Path) -> Made:
    """A description of symptoms to its disease."""
    corpus, queries, relevant = [], {}, {}
    for number, row in enumerate(_rows(data, "zh_diseases")):
        name = _text(row, "name")
        prose = "\n".join(filter(None, (_text(row, field) for field in _PROSE)))
        if not prose:
            continue
        corpus.append({"_id": str(number), "title": name, "text": prose})
        told = row.get("symptom_text")
        said = "".join(p for p in told if isinstance(p, str)) if isinstance(told, list) else ""
        asked = said.replace(name, "")[:_LONGEST_QUERY]
        if asked.strip() and _held_out(name):
            queries[f"q{number}"], relevant[f"q{number}"] = asked, [str(number)]
    return Made(corpus, queries, relevant)


def phenotypes(data: Path, asked: str, found: str) -> Made:
    """One language's names to the other's."""
    known = {
        fold(name)
        for concept in lexicon().values()
        for name in (*concept.names_zh, *concept.names_en)
    }
    corpus, queries, relevant = [], {}, {}
    for row in _rows(data, "hpo_zh"):
        code = _text(row, "id")
        corpus.append({"_id": code, "title": "", "text": _text(row, found)})
        if _held_out(code) and not known & {fold(_text(row, "zh")), fold(_text(row, "en"))}:
            queries[f"q{code}"], relevant[f"q{code}"] = _text(row, asked), [code]
    return Made(corpus, queries, relevant)


MAKERS: Mapping[str, Callable[[Path], Made]] = {
    "medquad": medquad,
    "zh_diseases": zh_diseases,
    "hpo_zh_en": lambda data: phenotypes(data, "zh", "en"),
    "hpo_en_zh": lambda data: phenotypes(data, "en", "zh"),
}


def _held_out(key: str) -> bool:
    """As in the embedding's training."""
    return zlib.crc32(key.encode("utf-8")) % 20 == 0


def _rows(data: Path, name: str) -> Iterator[Row]:
    with gzip.open(data / "text" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def _text(row: Row, field: str) -> str:
    value = row.get(field)
    return value if isinstance(value, str) else ""


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Make one collection."""
    parser = argparse.ArgumentParser(description="Make a collection for `fenzhen eval retrieval`.")
    parser.add_argument("name", choices=sorted(MAKERS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    made = MAKERS[given.name](given.data_dir)
    made.write(given.out)
    print(f"{len(made.corpus):,} documents, {len(made.queries):,} queries in {given.out}")


if __name__ == "__main__":
    main()
