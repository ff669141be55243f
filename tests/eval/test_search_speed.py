"""How fast search is: on a few real documents everything runs, and the parts are right."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from eval.result import BenchmarkError
from eval.search_speed.corpus import chunked, read_queries
from eval.search_speed.figures import OURS, OURS_TWICE, Latency
from eval.search_speed.measure import measure
from eval.search_speed.page import write_page
from eval.search_speed.stages import Stages
from eval.search_speed.worker import Worker, memory
from knowledge_base.library.document import Document, Outline
from tests.eval.files import write_lines


def document(text: str) -> Document:
    outline = Outline()
    outline.paragraphs(text)
    return outline.document("Croup")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_hundred_chunks_go_through(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "indexes").mkdir()
    figures = measure(data_dir, 500, 40, 1, tmp_path / "indexes")
    assert figures.built.chunks == 500
    assert figures.built.passages > figures.built.chunks  # the cards stand beside them
    assert figures.built.vectors > figures.built.passages  # and in two languages
    assert sum(figures.built.stages.values()) == pytest.approx(figures.built.seconds, rel=0.1)
    assert figures.systems.keys() >= {OURS, "bm25s", "rank_bm25"}
    for row, found in figures.latencies.items():
        assert 0 < found.p50 <= found.p90 <= found.p99 <= found.max, row
        assert found.found > 0.9, row
    for name, system in figures.systems.items():
        assert 0 < system.after.private <= system.after.resident, name
        assert system.after.anonymous <= system.after.resident, name
        assert system.after.proportional <= system.after.resident, name
        assert system.opened.before.resident < system.after.resident, name
    assert figures.ratio(OURS) == 1.0
    assert figures.latencies[OURS_TWICE].queries == figures.latencies[OURS].queries == 40
    assert len(figures.milliseconds["rank_bm25"]) == 2
    write_page(figures, tmp_path / "deep" / "report.md")
    raw = json.loads((tmp_path / "deep" / "report.json").read_text(encoding="utf-8"))
    assert len(raw["milliseconds"][OURS]) == 40
    assert [target["name"] for target in raw["targets"]] == [t.name for t in figures.targets]
    text = (tmp_path / "deep" / "report.md").read_text(encoding="utf-8")
    assert "| rank_bm25 |" in text
    assert "embedding" in text


@pytest.mark.parametrize(
    ("chunks", "queries", "cores", "words"),
    [
        (99, 40, 1, "at least 100 chunks"),
        (500, 0, 1, "20 queries"),
        (500, 40, 0, "one core"),
        (500, 40, 100_000, "there are"),
    ],
)
def test_arguments_that_make_no_sense_are_told(
    small: Path, tmp_path: Path, chunks: int, queries: int, cores: int, words: str
) -> None:
    with pytest.raises(BenchmarkError, match=words):
        measure(small, chunks, queries, cores, tmp_path)


def test_a_folder_without_the_sets_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no file"):
        measure(tmp_path, 500, 40, 1, tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Sets of 60 rows, three of them without what a query needs or with the same question."""
    (tmp_path / "text").mkdir()
    diseases = [{"name": f"病{n}", "symptoms": ["咳嗽", "发热", "头痛", "乏力"]} for n in range(60)]
    diseases[0]["symptoms"] = []
    questions = [{"question": f"What is illness {max(n, 2)}?"} for n in range(60)]
    write_lines(tmp_path / "text" / "zh_diseases.jsonl.gz", diseases)
    write_lines(tmp_path / "text" / "medquad.jsonl.gz", questions)
    return tmp_path


def test_queries_are_distinct_and_of_both_languages(small: Path) -> None:
    asked = read_queries(small, 41)
    assert len(set(asked)) == 41
    assert sum(query.startswith("What") for query in asked) == 20
    assert all(query.endswith("，咳嗽、发热、头痛") for query in asked if query[0] == "病")
    assert asked == read_queries(small, 41)
    with pytest.raises(BenchmarkError, match="116 queries, not 117"):
        read_queries(small, 117)


def test_a_text_is_taken_once_and_empty_documents_are_not() -> None:
    same = document("A barking cough at night.")
    corpus = chunked([("a", same), ("b", None), ("c", same), ("d", document("Fever."))], 2)
    assert [key for key, _ in corpus.chunks] == ["a", "d"]
    assert corpus.documents.keys() == {"a", "d"}
    assert corpus.halved == 0


def test_too_few_chunks_are_made_more_by_halving_the_longest() -> None:
    long = document("A barking cough at night. It frightens the child. Cold air helps.")
    corpus = chunked([("a", document("Fever is common. It passes.")), ("b", long)], 3)
    assert corpus.halved == 1
    assert [chunk.text for _, chunk in corpus.chunks] == [
        "Fever is common. It passes.",
        "A barking cough at night.",
        "It frightens the child. Cold air helps.",
    ]
    [_, (_, first), (_, second)] = corpus.chunks
    assert (first.start, second.start) == (0, long.text.index("It frightens"))
    assert first.id != second.id
    with pytest.raises(BenchmarkError, match="4 chunks at most"):
        chunked([("a", document("Fever is common. It passes.")), ("b", long)], 5)


def slow_part(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def whole() -> None:
    slow_part(0.3)
    time.sleep(0.1)


def test_stages_are_what_the_function_calls() -> None:
    with Stages(("whole",), 0.002) as watched:
        whole()
    assert watched.seconds["slow_part"] > watched.seconds["whole"] > 0
    assert next(iter(watched.seconds)) == "slow_part"


def test_a_latency_counts_what_was_found() -> None:
    found = Latency.of([1.0, 2.0, 30.0, 4.0], [0.5, 0.5, 0.5, 0.5], [3, 0, 1, 10])
    assert (found.queries, found.p50, found.max, found.found) == (4, 3.0, 30.0, 0.75)


def test_a_process_is_fresh_and_a_fault_in_it_arrives() -> None:
    held = bytearray(200_000_000)
    with Worker() as process:
        assert process.call(memory).resident < 150
        with pytest.raises(ZeroDivisionError):
            process.call(divmod, 1, 0)
    assert memory().resident > len(held) / 1e6


def test_a_process_that_is_killed_is_told() -> None:
    import os

    with Worker() as process, pytest.raises(BenchmarkError, match="ended early"):
        process.call(os._exit, 1)
