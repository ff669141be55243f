"""The disposition benchmark: three formats, one request, and what may never go into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.dispositions import UrgencyRow, urgency_row
from eval.readers import read_lines
from eval.result import BenchmarkError
from eval.run import run
from tests.eval.files import write_lines

VIGNETTE = {
    "id": "v1",
    "input": {
        "chief_complaint": "Chest pain radiating to left arm",
        "history": "hypertension",
        "demographics": {"age": 62, "sex": "male"},
        "vitals": {"heart_rate": 138, "systolic_bp": 82, "spo2": 95, "temperature_c": None},
    },
    "labels": {"gold_risk_tier": "critical", "gold_red_flag_categories": ["secret"]},
    "rationale": "secret",
}


def read(tmp_path: Path, row: object) -> UrgencyRow:
    return urgency_row(read_lines(write_lines(tmp_path / "a.jsonl", [row]))[0])


def test_a_red_flag_vignette_becomes_two_messages_with_vitals(tmp_path: Path) -> None:
    row = read(tmp_path, VIGNETTE)
    assert row.request.texts == ("Chest pain radiating to left arm", "hypertension")
    assert (row.request.age_years, row.request.sex) == (62, "male")
    assert row.request.vitals.numbers() == {"heart_rate": 138, "systolic_bp": 82, "spo2": 95}
    assert (row.row, row.truth, row.tiered) == ("v1", "critical", True)
    assert row.agreeing == {1, 2}
    assert "secret" not in row.request.model_dump_json()


@pytest.mark.parametrize(
    ("row", "agreeing", "tiered"),
    [
        ({"case_description": "a cough", "urgency_level": "em"}, {1, 2}, False),
        ({"case_description": "a cough", "urgency_level": "ne"}, {3, 4}, False),
        ({"case_description": "a cough", "urgency_level": "sc"}, {5}, False),
        ({"text": "咳嗽", "disposition": 3}, {3}, True),
    ],
)
def test_the_other_formats_keep_their_levels(
    tmp_path: Path, row: object, agreeing: set[int], tiered: bool
) -> None:
    found = read(tmp_path, row)
    assert found.agreeing == agreeing
    assert found.tiered == tiered


def test_vitals_that_nobody_has_are_left_out_and_named(tmp_path: Path) -> None:
    vitals = {"heart_rate": 9000, "systolic_bp": 90, "diastolic_bp": 95, "mood": 3}
    row = read(tmp_path, {**VIGNETTE, "input": {"chief_complaint": "pain", "vitals": vitals}})
    assert row.request.vitals.numbers() == {"systolic_bp": 90}
    assert sorted(row.dropped) == ["diastolic_bp", "heart_rate"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"complaint": "private words"}, "expected 'input'"),
        ({"case_description": "private words", "urgency_level": "high"}, "none of em, ne, sc"),
        ({"text": "private words", "disposition": 6}, "must be 1 to 5"),
        ({"text": "private words", "disposition": True}, "must be 1 to 5"),
        ({"text": "  ", "disposition": 2}, "not a valid request"),
        ({**VIGNETTE, "input": {"chief_complaint": 3}}, "'chief_complaint' must be text"),
    ],
)
def test_a_malformed_line_is_named_without_its_words(
    tmp_path: Path, row: object, words: str
) -> None:
    with pytest.raises(BenchmarkError, match=f"line 1: .*{words}") as caught:
        read(tmp_path, row)
    assert "private" not in str(caught.value)


def test_the_benchmark_counts_and_lists_the_under_triaged(tmp_path: Path) -> None:
    rows = [
        VIGNETTE,
        {"id": "under", "text": "我想咨询一下怎么预约体检", "disposition": 1},
        {"id": "fine", "text": "我想咨询一下怎么预约体检", "disposition": 4},
    ]
    report = tmp_path / "report.md"
    result = run("disposition", write_lines(tmp_path / "a.jsonl.gz", rows), report=report)
    assert result.scored.n == 3
    assert result.metrics["emergency_recall"] == pytest.approx(1 / 2)
    assert result.metrics["under_triage"] == pytest.approx(1 / 3)
    assert [m.row for m in result.scored.details.misses] == ["under"]
    assert set(result.scored.models) == {"department", "urgency", "rules", "lexicon", "cards"}
    assert "| under | 1 |" in report.read_text(encoding="utf-8")


@pytest.mark.data
def test_no_critical_development_vignette_is_missed(data_dir: Path) -> None:
    for name in ("red_flag_vignettes", "red_flag_vignettes_adversarial"):
        result = run("disposition", data_dir / "text" / f"{name}.jsonl")
        assert result.metrics["emergency_missed"] == 0.0, name
