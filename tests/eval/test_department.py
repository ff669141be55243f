"""The department benchmark with the shipped model on files of a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.result import BenchmarkError
from eval.run import run
from tests.eval.files import write_lines

ROWS = [
    {"title": "高血压", "text": "高血压心慌吃什么药", "answer": "x", "department": "心血管科"},
    {"title": "糖尿病", "text": "血糖高怎么办", "answer": "x", "department": "内分泌科"},
    {"title": "哮喘", "text": "咳嗽气喘好几天了", "answer": "x", "department": "呼吸科"},
    {"title": "胃炎", "text": "胃痛反酸烧心", "answer": "x", "department": "消化科"},
]


def test_plain_cases_go_where_they_belong(tmp_path: Path) -> None:
    result = run("department", write_lines(tmp_path / "a.jsonl", ROWS))
    assert result.metrics["accuracy"] == 1.0
    assert list(result.metrics) == [
        "accuracy",
        "macro_f1",
        "macro_f1_at_least_10",
        "top3",
        "ece",
    ]
    assert result.as_json()["metrics"]["macro_f1_at_least_10"] is None  # type: ignore[index]


def test_a_label_that_no_crosswalk_knows_is_reported_and_wrong(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": "胃痛", "department": "太空医学科"}]
    result = run("department", write_lines(tmp_path / "a.jsonl", rows))
    assert result.metrics["accuracy"] == pytest.approx(4 / 5)
    assert result.metrics["macro_f1"] < 0.9
    assert "太空医学科 (1 rows)" in str(result.as_json()["warnings"])


def test_text_only_leaves_the_title_out(tmp_path: Path) -> None:
    rows = [
        {"title": "高血压冠心病心脏病", "text": "吃什么药好", "department": "心血管科"},
        {"title": "糖尿病血糖高", "text": "吃什么药好", "department": "内分泌科"},
    ]
    data = write_lines(tmp_path / "a.jsonl", rows)
    assert run("department", data).metrics["accuracy"] == 1.0
    assert run("department", data, text_only=True).metrics["accuracy"] == 0.5


def test_answers_are_never_an_input(tmp_path: Path) -> None:
    lines = [dict(row) for row in ROWS]
    plain = run("department", write_lines(tmp_path / "a.jsonl", lines))
    for line in lines:
        line |= {"answer": "去肾内科看肾炎", "sub_department": "肾内科", "why": "肾炎"}
    misled = run("department", write_lines(tmp_path / "b.jsonl", lines))
    assert plain.metrics == pytest.approx(misled.metrics, nan_ok=True)


def test_a_file_that_the_model_learned_from_is_told(tmp_path: Path) -> None:
    fresh = run("department", write_lines(tmp_path / "fresh.jsonl", ROWS))
    learned = run("department", write_lines(tmp_path / "zh_consult_internal.train.jsonl.gz", ROWS))
    assert "warnings" not in fresh.as_json()
    assert "learned from zh_consult_internal.train" in str(learned.as_json()["warnings"])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "胃痛"}, "'department' must be text"),
        ({"department": "消化科"}, "'text' must be text"),
        ({"text": "胃痛", "department": "太空医学科"}, "no crosswalk knows"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, row: object, words: str) -> None:
    with pytest.raises(BenchmarkError, match=f"line 1: .*{words}"):
        run("department", write_lines(tmp_path / "a.jsonl", [row]))


@pytest.mark.data
@pytest.mark.slow
def test_the_development_consults_reach_their_targets(data_dir: Path) -> None:
    result = run("department", data_dir / "text" / "zh_consult_internal.dev.jsonl.gz")
    assert result.scored.n == 728
    assert result.metrics["macro_f1_at_least_10"] > 0.95


def test_children_are_routed_where_the_file_knows_a_department_for_them(tmp_path: Path) -> None:
    text = "三岁宝宝咳嗽气喘好几天了"
    others = [{"text": "白带多，外阴痒", "department": "妇产科"}]
    children = [{"text": text, "department": "儿科"}, *others]
    assert run("department", write_lines(tmp_path / "a.jsonl", children)).metrics["accuracy"] == 1.0
    internal = [{"text": text, "department": "呼吸科"}, *ROWS]
    assert run("department", write_lines(tmp_path / "b.jsonl", internal)).metrics["accuracy"] == 1.0
