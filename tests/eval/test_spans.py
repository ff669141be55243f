"""The findings benchmark on CMeEE sentences: the lexicon's spans, and the tagger's beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.run import evaluated_models, run
from eval.span_readers import LexiconSpans, TaggerSpans
from models.repository import ModelRepository
from tests.eval.files import write_lines

ROW = {
    "text": "患儿发热，无咳嗽，肺部感染。",
    "entities": [
        {"start_idx": 2, "end_idx": 3, "type": "sym", "entity": "发热"},
        {"start_idx": 5, "end_idx": 7, "type": "sym", "entity": "无咳嗽"},
        {"start_idx": 9, "end_idx": 10, "type": "bod", "entity": "肺部"},
        {"start_idx": 9, "end_idx": 12, "type": "dis", "entity": "肺部感染"},
    ],
}


@pytest.fixture(scope="module")
def tagger() -> TaggerSpans:
    return TaggerSpans(evaluated_models().get("entities"))


def test_the_lexicon_gives_exact_spans_with_their_negation() -> None:
    assert LexiconSpans()(str(ROW["text"])) >= {("2-3", "sym"), ("5-7", "sym")}


def test_without_a_tagger_the_lexicons_figures_count_and_the_report_says_so(
    tmp_path: Path,
) -> None:
    result = run(
        "findings", write_lines(tmp_path / "a.jsonl", [ROW]), repository=ModelRepository(tmp_path)
    )
    assert result.metrics["recall"] == result.metrics["lexicon_recall"] == pytest.approx(2 / 3)
    assert result.metrics["precision"] == 1.0
    assert "No entity tagger" in str(result.as_json()["warnings"])


def test_the_taggers_figures_come_first_and_the_lexicons_beside_them(tmp_path: Path) -> None:
    result = run("findings", write_lines(tmp_path / "a.jsonl", [ROW]))
    assert result.metrics["lexicon_recall"] == pytest.approx(2 / 3)
    assert result.metrics["recall"] > result.metrics["lexicon_recall"]
    models = result.as_json()["models"]
    assert isinstance(models, dict)
    assert set(models) == {"lexicon", "entities"}
    assert "warnings" not in result.as_json()


def test_the_file_that_the_tagger_learned_from_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "cblue"
    folder.mkdir()
    result = run("findings", write_lines(folder / "CMeEE.dev.jsonl.gz", [ROW]))
    assert "learned from" in str(result.as_json()["warnings"])


def test_a_body_site_may_lie_inside_a_symptom(tagger: TaggerSpans) -> None:
    found = tagger("患者可出现皮肤出血。")
    assert {("5-6", "bod"), ("5-8", "sym")} <= found


def test_a_sentence_longer_than_the_model_reads_is_read_in_windows(tagger: TaggerSpans) -> None:
    sentence = "患儿有发热、咳嗽。"
    text = sentence * 60
    found = tagger(text)
    assert ("3-4", "sym") in found
    last = len(text) - len(sentence)
    assert (f"{last + 3}-{last + 4}", "sym") in found
    assert all(int(span.split("-")[1]) < len(text) for span, _ in found)
