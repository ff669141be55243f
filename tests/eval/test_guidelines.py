"""The guidelines benchmark: our cards as documents, judged by the passages that they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval import guidelines
from eval.readers import read_lines
from eval.result import BenchmarkError
from eval.run import evaluated_models
from knowledge_base.cards import cards
from knowledge_base.exporting.round_trip import held, round_trip

FEW = {name: cards()[name] for name in ("burns", "gout", "sepsis", "stroke")}


def lines(folder: Path, *rows: str) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_every_passage_comes_back_from_its_export(tmp_path: Path) -> None:
    entries = round_trip(FEW, tmp_path)
    found = {(passage, *e.shown) for e in entries for passage in held(e, FEW)}
    expected = {(p.id, p.language) for card in FEW.values() for p in card.passages}
    assert found == expected


def test_a_look_up_finds_its_passage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guidelines, "cards", lambda: FEW)
    asked = lines(
        tmp_path,
        '{"id": "a", "query": "put a burn in cool water", "relevant": {"burns#self_care:1": 2}}',
        '{"id": "b", "query": "what to eat with gout", "relevant": {"gout#self_care:1": 1}}',
    )
    found = guidelines.score(read_lines(asked), evaluated_models())
    assert found.n == 2
    assert found.estimates["mrr_at_10"].value > 0.2
    assert found.estimates["answered"].value > 0
    assert 0 <= found.estimates["citation_precision"].value <= 1
    assert set(found.models) == {"embedding", "reranker"}


@pytest.mark.parametrize(
    "row",
    [
        '{"id": "a", "query": "烧伤"}',
        '{"id": "a", "query": "烧伤", "relevant": {}}',
        '{"id": "a", "query": "烧伤", "relevant": {"burns#self_care:99": 2}}',
        '{"id": "a", "query": "烧伤", "relevant": {"burns#self_care:1": "2"}}',
        '{"id": "a", "relevant": {"burns#self_care:1": 2}}',
    ],
)
def test_a_line_of_another_form_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(BenchmarkError, match="line 1"):
        guidelines.score(read_lines(lines(tmp_path, row)), evaluated_models())
