"""The relevance benchmark on small files: which set it is, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.run import BenchmarkError, run
from tests.eval.files import write_lines

SAME, OTHER = ("糖尿病能吃西瓜吗", "糖尿病可以吃西瓜吗"), ("糖尿病能吃西瓜吗", "高血压怎么引起的")


def rows(first: str, second: str, *labels: object) -> list[dict[str, object]]:
    """The pair that says the same and the one that does not, under these fields."""
    return [
        {first: pair[0], second: pair[1], "label": label}
        for pair, label in zip((SAME, OTHER), labels, strict=True)
    ]


@pytest.mark.parametrize(
    ("first", "second", "labels"),
    [
        ("query", "title", ("3", "0")),
        ("query1", "query2", ("2", "0")),
        ("text1", "text2", (1, 0)),
    ],
)
def test_the_fields_say_which_set_it_is(
    tmp_path: Path, first: str, second: str, labels: tuple[object, object]
) -> None:
    result = run("relevance", write_lines(tmp_path / "a.jsonl", rows(first, second, *labels)))
    assert result.metrics == {"accuracy": 1.0, "macro_f1": 1.0}
    assert result.scored.models == {"relevance": 1}


def test_a_label_that_the_model_lacks_is_wrong_and_named(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "a.jsonl", rows("text1", "text2", "1", "7"))
    result = run("relevance", data)
    assert result.metrics["accuracy"] == 0.5
    assert "no label 7 (1 rows)" in result.scored.details.warnings[0]


def test_a_file_of_the_training_part_is_told(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "CHIP-STS.train.jsonl", rows("text1", "text2", 1, 0))
    assert "learned from CHIP-STS.train" in run("relevance", data).scored.details.warnings[0]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"question": "a", "answer": "b", "label": "1"}, "line 1: no pair of texts"),
        ({"text1": "a", "text2": " ", "label": "1"}, "line 1: a text of the pair is empty"),
        ({"text1": "a", "text2": 3, "label": "1"}, "line 1: 'text2' must be text"),
        ({"text1": "a", "text2": "b"}, "line 1: 'label' must be text"),
        ({"text1": "a", "text2": "b", "label": True}, "line 1: 'label' must be text"),
    ],
)
def test_a_line_that_is_no_labelled_pair_is_refused(
    tmp_path: Path, broken: dict[str, object], words: str
) -> None:
    with pytest.raises(BenchmarkError, match=words):
        run("relevance", write_lines(tmp_path / "a.jsonl", [broken]))


def test_every_line_has_the_fields_of_the_first(tmp_path: Path) -> None:
    mixed = [*rows("text1", "text2", 1, 0), {"query": "a", "title": "b", "label": "1"}]
    with pytest.raises(BenchmarkError, match="line 3: 'text1' must be text"):
        run("relevance", write_lines(tmp_path / "a.jsonl", mixed))
