"""`fenzhen kb` as an operator uses it on a folder of documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving.cli import app
from tests.knowledge_base.library.papers import pdf, word, write

runner = CliRunner()


@pytest.fixture(autouse=True)
def _var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENZHEN_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*words: str, code: int = 0) -> str:
    done = runner.invoke(app, ["kb", *words])
    assert done.exit_code == code, done.output
    return done.output


def last(output: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(output.splitlines()[-1])
    return found


def test_a_folder_is_taken_listed_and_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "guides"
    write(folder / "a.docx", word([("Title", "Cough"), ("Normal", "Drink enough water.")]))
    write(folder / "b.pdf", pdf([[(72, 700, 10, "Rest when you have a fever.")]], "Fever"))
    write(folder / "c.pdf", b"%PDF-rubbish")
    shown = run("ingest", str(folder), "--licence", "CC-BY-4.0", "--year", "2024", "--json")
    assert "guides/c.pdf: the PDF is broken" in shown
    assert (last(shown)["taken"], last(shown)["chunks"]) == (2, 2)
    again = last(run("ingest", str(folder), "--licence", "CC-BY-4.0", "--year", "2024", "--json"))
    assert (again["taken"], again["unchanged"]) == (0, 3)
    listed = json.loads(run("documents", "--json").splitlines()[-1])
    assert [(d["id"], d["title"], d["licence"], d["year"]) for d in listed] == [
        ("guides/a.docx", "Cough", "CC-BY-4.0", 2024),
        ("guides/b.pdf", "Fever", "CC-BY-4.0", 2024),
    ]
    assert "CC-BY-4.0" in run("documents")
    run("forget", "guides/a.docx", "guides/c.pdf")
    assert [d["id"] for d in json.loads(run("documents", "--json"))] == ["guides/b.pdf"]


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    assert "no such file or folder" in run("ingest", str(tmp_path / "nothing"), code=1)
    assert "not in the library" in run("forget", "a/b", code=1)
    for name in ("x", "y"):
        write(tmp_path / name / "g" / "a.md", "# A\n\na")
    two = (str(tmp_path / "x" / "g"), str(tmp_path / "y" / "g"))
    assert "two folders of one name" in run("ingest", *two, code=1)
    write(tmp_path / "z" / "sources.yaml", "surprise: 1")
    assert "sources.yaml" in run("ingest", str(tmp_path / "z"), code=1)


def test_names_and_titles_from_elsewhere_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "guides"
    write(folder / "[red]a[/].md", "# [bold]Cough[/]\n\nDrink enough.")
    write(folder / "[/]b.pdf", b"%PDF-rubbish")
    assert "guides/[/]b.pdf: the PDF is broken" in run("ingest", str(folder))
    shown = run("documents")
    assert "guides/[red]a[/].md" in shown
    assert "[bold]Cough[/]" in shown


def test_exported_cards_can_be_ingested(tmp_path: Path) -> None:
    folder = tmp_path / "cards"
    two = ("--card", "chest-pain", "--card", "fever-in-adults")
    told = last(run("export", str(folder), "--format", "docx", "--language", "zh", *two, "--json"))
    assert told["files"] == ["chest-pain.zh.docx", "fever-in-adults.zh.docx"]
    assert last(run("ingest", str(folder), "--json"))["taken"] == 2
    listed = json.loads(run("documents", "--json").splitlines()[-1])
    assert [(d["title"], d["licence"]) for d in listed] == [
        ("成人胸痛", "own"), ("成人发热", "own"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--format", "odt"), "format is one of pdf, docx, html, md"),
        (("--format", "md", "--language", "fr"), "language is zh or en"),
        (("--format", "md", "--card", "[red]x"), "no card is called [red]x"),
    ],
)
def test_an_export_that_cannot_be_is_said_in_one_line(
    tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    assert why in run("export", str(tmp_path / "cards"), *words, code=1)


def test_an_export_onto_a_file_is_refused(tmp_path: Path) -> None:
    place = write(tmp_path / "a.txt", "kept")
    assert "a.txt" in run("export", str(place), "--format", "md", code=1)
    assert place.read_text() == "kept"
