"""The acuity benchmark: what its metrics count, and that it reads both kinds of file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.acuity import Answered, estimates
from eval.run import BenchmarkError, run

VISITS = [
    {"sex": "male", "age": 40.0, "arrival_mode": "3", "injury": True, "complaint": "ankle injury",
     "avpu": "alert", "pain": True, "nrs": 3.0, "sbp": 120.0, "dbp": 80.0, "hr": 80.0, "rr": 18.0,
     "temp_c": 36.5, "spo2": None, "ktas_expert": 4},
    {"sex": "female", "age": 70.0, "arrival_mode": "2", "injury": False, "complaint": "arrest",
     "avpu": "unresponsive", "pain": False, "nrs": None, "sbp": None, "dbp": None, "hr": None,
     "rr": None, "temp_c": None, "spo2": None, "ktas_expert": 1},
]  # fmt: skip


def written(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "visits.test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_under_over_and_severe_are_counted_by_level() -> None:
    pairs = [(1, 1), (1, 3), (2, 3), (3, 3), (3, 2), (4, 4), (5, 4), (4, 4)]
    found = estimates([Answered(str(i), t, a) for i, (t, a) in enumerate(pairs)])
    assert found["accuracy"].value == pytest.approx(4 / 8)
    assert found["under_triage"].value == pytest.approx(2 / 8)
    assert found["over_triage"].value == pytest.approx(2 / 8)
    assert found["severe_under_triage"].value == pytest.approx(1 / 8)
    assert found["under_triage"].low < 2 / 8 < found["under_triage"].high


def test_visits_are_graded_on_their_scale(tmp_path: Path) -> None:
    result = run("acuity", written(tmp_path, VISITS))
    assert result.scored.n == 2
    assert result.metrics["severe_under_triage"] == 0
    assert "acuity_ktas" in result.scored.models
    report = result.as_json()
    assert {"accuracy", "quadratic_kappa", "under_triage", "over_triage"} <= set(report["metrics"])  # type: ignore[arg-type]


def test_prose_is_graded_with_esi_and_the_reasoning_is_no_input(tmp_path: Path) -> None:
    row: dict[str, object] = {"text": "A 30-year-old needs a prescription refill.", "esi": 5}
    told = {**row, "why": "ESI level 1: cardiac arrest, intubated, no response."}
    plain, tempted = (
        run("acuity", written(tmp_path, [row])),
        run("acuity", written(tmp_path, [told])),
    )
    assert "acuity_esi" in plain.scored.models
    assert plain.metrics == tempted.metrics or str(plain.metrics) == str(tempted.metrics)


@pytest.mark.parametrize(
    "row",
    [{"complaint": "fever"}, {"complaint": "fever", "ktas_expert": 7}, {"age": 3, "esi": 2}],
)
def test_a_row_without_level_or_complaint_is_refused(
    tmp_path: Path, row: dict[str, object]
) -> None:
    with pytest.raises(BenchmarkError):
        run("acuity", written(tmp_path, [row]))
