"""`fenzhen match` as an operator uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving.cli import app

runner = CliRunner()


@pytest.fixture(autouse=True)
def _var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENZHEN_VAR", str(tmp_path / "var"))


def run(*words: str, code: int = 0) -> str:
    done = runner.invoke(app, ["match", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_the_example_is_imported_and_exported_unchanged(tmp_path: Path) -> None:
    file, back = tmp_path / "roster.csv", tmp_path / "back.csv"
    run("example", "--out", str(file))
    made = json.loads(run("import", str(file), "--json").splitlines()[-1])
    assert made == {"version": 1, "doctors": 40}
    run("export", "--out", str(back))
    assert back.read_bytes() == file.read_bytes()
    assert "version 1" in run("import", str(file))


def test_a_faulty_line_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "roster.csv"
    file.write_text(run("example").replace("cardiology", "heart"), encoding="utf-8")
    assert "line 3, department" in run("import", str(file), code=1)
    assert "no roster" in run("export", code=1)


def test_learning_from_nothing_changes_nothing_and_one_can_go_back() -> None:
    learned = json.loads(run("learn", "--json").splitlines()[-1])
    assert learned["version"] is None
    assert learned["specialties"]["oncology"]["kept"] is False
    assert "Version 1 is in force" in run("use", "0")
    assert "no such version" in run("use", "5", code=1)
