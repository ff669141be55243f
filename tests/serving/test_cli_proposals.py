"""`fenzhen kb proposals`: the list, and the patch of what is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from knowledge_base.card_edits import passage_of
from knowledge_base.cards import cards
from serving import users
from serving.cli import app
from serving.curation import proposals
from serving.storage.codes import Role
from serving.storage.database import Database

runner = CliRunner()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An open proposal and an accepted one."""
    monkeypatch.setenv("FENZHEN_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "200")
    db = Database(f"sqlite:///{tmp_path / 'var' / 'fenzhen.sqlite3'}")
    db.migrate()
    one, two = (users.create(db, name=n, role=Role.PHYSICIAN).user for n in ("[b]A", "B"))
    found = [
        proposals.propose(
            db, cards(), one, passage=f"acne#ask:{n}", language="zh", text="询问起病。", why="短"
        ).id
        for n in (1, 2)
    ]
    proposals.decide(db, cards(), found[1], two, accept=True)
    db.close()
    return found


def run(*words: str, code: int = 0) -> str:
    done = runner.invoke(app, ["kb", "proposals", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_all_or_the_accepted_ones_are_listed(made: list[str]) -> None:
    shown = run()
    assert all(one in shown for one in made)
    assert "[b]A" in shown
    listed = json.loads(run("--accepted", "--json").splitlines()[-1])
    assert [(p["id"], p["state"]) for p in listed] == [(made[1], "accepted")]


@pytest.mark.usefixtures("made")
def test_the_patch_holds_what_is_accepted_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "cards.patch"
    assert "1 accepted proposals" in run("--patch", str(target))
    text = target.read_text(encoding="utf-8")
    first, second = (passage_of(cards(), f"acne#ask:{n}", "zh") for n in (1, 2))
    assert first is not None
    assert second is not None
    assert f"-- {second.text}" in text
    assert f"-- {first.text}" not in text
    assert "+- 询问起病。" in text
    assert "a/knowledge_base/content/cards/acne.md" in text


@pytest.mark.usefixtures("made")
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    assert "fenzhen:" in run("--patch", str(tmp_path), code=1)
