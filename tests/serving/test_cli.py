"""The command line as an operator uses it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving.cli import app
from serving.settings import Settings
from tests.serving.conftest import Api

runner = CliRunner()


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FENZHEN_VAR", str(tmp_path))
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    done = runner.invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.usefixtures("var")
def test_a_user_is_made_listed_and_disabled() -> None:
    made = json.loads(run("user", "add", "Dr Wang", "--role", "physician", "--json"))
    assert made["key"].startswith("fz_")
    assert "Dr Wang" in run("user", "list")
    run("user", "disable", made["id"])
    assert "yes" in run("user", "list")


@pytest.mark.usefixtures("var")
def test_a_role_that_does_not_exist_is_refused() -> None:
    assert "role is" in run("user", "add", "X", "--role", "king", code=1)


def test_the_models_are_listed_with_what_their_licences_say() -> None:
    listed = json.loads(run("models", "list", "--json").splitlines()[-1])
    assert {m["name"] for m in listed} >= {"department", "embedding", "cxr_pneumonia"}
    assert "none stated" in run("models", "list")
    assert "intact" in run("models", "verify")


@pytest.mark.usefixtures("var")
def test_a_new_audit_chain_is_intact() -> None:
    run("user", "add", "A", "--role", "administrator")
    assert json.loads(run("audit", "verify", "--json"))["ok"] is True


def test_an_altered_record_breaks_the_chain_and_is_said(var: Path) -> None:
    run("user", "add", "A", "--role", "administrator")
    database = str(var / "fenzhen.sqlite3")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
            "c.execute('PRAGMA foreign_keys=OFF');"
            "[c.execute(f'DROP TRIGGER {n}') for (n,) in c.execute(\"SELECT name FROM"
            " sqlite_master WHERE type='trigger'\").fetchall()];"
            "c.execute(\"UPDATE audit_events SET actor='someone'\"); c.commit()",
            database,
        ],
        check=True,
    )
    assert "broken at event 1" in run("audit", "verify", code=1)


def test_a_recorded_triage_replays_to_the_same_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = api.client.post(
        "/v1/triage", json={"text": "头晕三天，血压150/95", "age_years": 60}, headers=api.app_user
    ).json()
    monkeypatch.setenv("FENZHEN_VAR", str(api.services.settings.var))
    assert "The same answer" in run("replay", answer["decision_id"])
    assert "no such decision" in run("replay", "dec_unknown", code=1)


def test_the_knowledge_base_answers_on_the_command_line() -> None:
    hits = json.loads(run("kb", "search", "心口疼", "--k", "3", "--json").splitlines()[-1])
    assert 0 < len(hits) <= 3
    assert "The content is sound." in run("kb", "check")


def test_a_server_with_an_altered_model_does_not_start_and_names_the_file(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    shutil.copytree(Settings().models, models, ignore=shutil.ignore_patterns("__pycache__"))
    network = next(models.glob("department/*/model.onnx"))
    network.write_bytes(network.read_bytes()[:-1] + b"\0\0")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "fenzhen"), "serve", "--port", "0"],
        env={
            "PATH": "/usr/bin:/bin",
            "FENZHEN_VAR": str(tmp_path),
            "FENZHEN_MODELS": str(models),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "model.onnx: sha256 differs" in done.stderr
