"""Collections made of the public sets: BEIR's layout, nothing of the answer in a query."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from eval.collections import medquad, phenotypes, zh_diseases
from eval.retrieval import read_collection


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> Path:
    (folder / "text").mkdir(exist_ok=True)
    with gzip.open(folder / "text" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return folder


def unseen(prefix: str) -> str:
    """A key of the twentieth that no model learned from."""
    return next(k for k in map(f"{prefix}{{}}".format, range(500)) if zlib.crc32(k.encode()) % 20 == 0)  # fmt: skip # noqa: E501


def test_answers_of_one_focus_belong_together_whatever_its_case(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": "What is gout?", "answer": "A joint disease.", "focus": "Gout"},
        {"question": "How is gout treated?", "answer": "By tablets.", "focus": "gout"},
        {"question": "What is flu?", "answer": "", "focus": "Flu"},
    ]
    made = medquad(write(tmp_path, "medquad", rows))
    made.write(tmp_path / "out")
    found = read_collection(tmp_path / "out")
    assert set(found.corpus) == {"0", "1"}
    assert found.relevant == {q: {"0": 1, "1": 1} for q in ("q0", "q1")}


def test_a_disease_is_asked_for_without_its_name(tmp_path: Path) -> None:
    name = unseen("病")
    rows: list[dict[str, object]] = [
        {"name": name, "overview": "概述", "symptom_text": [f"{name}病人发热"], "cause": "病毒"},
        {"name": "学过的病", "overview": "另一个", "symptom_text": ["咳嗽"]},
    ]
    made = zh_diseases(write(tmp_path, "zh_diseases", rows))
    assert made.queries == {"q0": "病人发热"}
    assert made.relevant == {"q0": ["0"]}
    assert made.corpus[0] == {"_id": "0", "title": name, "text": "概述\n病毒"}


def test_only_unseen_phenotypes_ask(tmp_path: Path) -> None:
    code = unseen("HP:")
    rows: list[dict[str, object]] = [
        {"id": code, "zh": "某种罕见表型", "en": "Some rare phenotype"},
        {"id": "HP:learned", "zh": "另一表型", "en": "Another phenotype"},
    ]
    folder = write(tmp_path, "hpo_zh", rows)
    made = phenotypes(folder, "zh", "en")
    assert made.queries == {f"q{code}": "某种罕见表型"}
    assert [row["text"] for row in made.corpus] == ["Some rare phenotype", "Another phenotype"]
    assert phenotypes(folder, "en", "zh").queries == {f"q{code}": "Some rare phenotype"}
