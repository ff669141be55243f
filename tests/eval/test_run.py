"""What every benchmark shares: options, the JSON's shape, the report and its faults."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from eval.findings import score
from eval.readers import read_lines
from eval.report import write_report
from eval.result import BenchmarkError, BenchmarkResult
from eval.run import run
from models.repository import ModelRepository
from tests.eval.files import write_lines

WINDOW = {"utterances": ["患者:胸闷三天，没有头晕"], "labels": ["症状:胸闷-状态:阳性"]}


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "dialogues.jsonl", [{"windows": [WINDOW]}])


@pytest.mark.parametrize(
    ("bench", "options", "words"),
    [
        ("weather", {}, "no benchmark 'weather'; there are acuity"),
        ("imaging", {}, "imaging needs --task"),
        ("department", {"stress": True}, "for imaging only"),
        ("findings", {"task": "cxr_pneumonia"}, "for imaging and foreign only"),
        ("foreign", {}, "foreign needs --task"),
        ("disposition", {"text_only": True}, "for department only"),
    ],
)
def test_options_that_make_no_sense_are_told(
    dialogues: Path, bench: str, options: dict[str, bool], words: str
) -> None:
    with pytest.raises(BenchmarkError, match=words):
        run(bench, dialogues, **options)  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "a.jsonl", [{"text": "头痛", "disposition": 4}])
    with pytest.raises(BenchmarkError, match="no model department"):
        run("disposition", data, repository=ModelRepository(tmp_path))


STATUS_METRICS = {
    name + figure for name in ("", "rules_") for figure in ("precision", "recall", "f1")
}


def test_the_json_has_the_documented_shape(dialogues: Path) -> None:
    result = run("findings", dialogues)
    found = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert list(found) == ["benchmark", "file", "n", "metrics", "intervals", "models", "seconds"]
    assert (found["benchmark"], found["file"], found["n"]) == ("findings", str(dialogues), 1)
    assert set(found["metrics"]) == set(found["intervals"]) == STATUS_METRICS
    assert all(len(pair) == 2 for pair in found["intervals"].values())


def test_a_metric_without_rows_is_null_in_json(tmp_path: Path) -> None:
    silent = write_lines(
        tmp_path / "a.jsonl", [{"windows": [{"utterances": ["患者:你好"], "labels": []}]}]
    )
    found = run("findings", silent).as_json()
    assert found["metrics"] == dict.fromkeys(STATUS_METRICS)
    assert found["intervals"] == dict.fromkeys(STATUS_METRICS)


def test_the_table_names_every_metric(dialogues: Path) -> None:
    console = Console(width=100, file=io.StringIO())
    console.print(run("findings", dialogues).table())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(name in text for name in ("precision", "recall", "f1", "n = 1"))


def test_a_report_has_its_headings_and_plot_and_no_words_of_a_row(
    dialogues: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    run("findings", dialogues, report=tmp_path / "deep" / "report.md")
    text = (tmp_path / "deep" / "report.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Models", "## Method", "## Metrics", "## By class"):
        assert heading in text
    assert "line 1" in text
    assert "三天" not in text
    assert (tmp_path / "deep" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_report_says_so(
    dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = BenchmarkResult(
        "findings", "a.jsonl", score(read_lines(dialogues), ModelRepository()), 0.1
    )
    write_report(result, tmp_path / "report.md")
    assert "No plot: matplotlib is not installed." in (tmp_path / "report.md").read_text("utf-8")
    assert not (tmp_path / "report.png").exists()


def test_a_report_that_cannot_be_written_is_told(dialogues: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BenchmarkError, match="cannot write the report"):
        run("findings", dialogues, report=tmp_path / "file" / "report.md")
