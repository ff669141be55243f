"""Reads the public text sets (`shared/data/text`): JSON Lines, plain or gzipped, by name.

Names carry no ending: `rows(folder, "hpo_zh")` finds `hpo_zh.jsonl.gz` or `hpo_zh.jsonl`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from models.manifest import TrainingSet

_FORBIDDEN = ("non-commercial", "noncommercial", "research use", "evaluation use only", "-nc")
_SILENT = ("none stated",)

Row = dict[str, object]

OWN_QUESTIONS, OWN_CARDS, OWN_TERMS = "own_questions", "own_cards", "own_terms"
_OWN = {
    OWN_QUESTIONS: "knowledge_base/content/questions",
    OWN_CARDS: "knowledge_base/content/cards",
    OWN_TERMS: "knowledge_base/lexicon/findings",
}
"""Sets that are part of this project."""


def path_of(data_dir: Path, name: str) -> Path:
    """The file of a set; raises FileNotFoundError that names what was looked for."""
    for ending in (".jsonl.gz", ".jsonl"):
        path = data_dir / "text" / f"{name}{ending}"
        if path.is_file():
            return path
    raise FileNotFoundError(f"no {name}.jsonl or {name}.jsonl.gz in {data_dir / 'text'}")


def rows(data_dir: Path, name: str, limit: int | None = None) -> Iterator[Row]:
    """The set's rows in order, at most `limit` of them."""
    path = path_of(data_dir, name)
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as stream
    ):
        for number, line in enumerate(stream):
            if limit is not None and number >= limit:
                return
            yield json.loads(line)


def count(data_dir: Path, name: str) -> int:
    """How many rows a set has."""
    return sum(1 for _ in rows(data_dir, name))


def text_of(row: Row, field: str) -> str:
    """A text field, `""` where it is absent."""
    value = row.get(field)
    return value if isinstance(value, str) else ""


def list_of(row: Row, field: str) -> list[str]:
    """A field that lists texts, `[]` where it is absent."""
    value = row.get(field)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def training_set(data_dir: Path, name: str, used: int) -> TrainingSet:
    """How a manifest names a set, with the licence that the data's own manifest states."""
    if name in _OWN:
        return TrainingSet(
            name=name, rows=used, licence="Apache-2.0", commercial_use="allowed", source=_OWN[name]
        )
    listed = json.loads((data_dir / "text" / "manifest.json").read_text(encoding="utf-8"))
    entry = listed[path_of(data_dir, name).relative_to(data_dir / "text").as_posix()]
    stated = str(entry["licence"])
    low = stated.lower()
    if any(word in low for word in _FORBIDDEN):
        return TrainingSet(
            name=name, rows=used, licence=stated, commercial_use="forbidden", source=entry["source"]
        )
    silent = any(word in low for word in _SILENT)
    return TrainingSet(
        name=name,
        rows=used,
        licence="none stated" if silent else stated,
        commercial_use="not stated" if silent else "allowed",
        source=entry["source"],
    )
