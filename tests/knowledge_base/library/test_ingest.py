"""Files become chunks once, change with their files, and a broken one harms no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge_base.library.document import Unreadable
from knowledge_base.library.ingest import Report, Source, ingest, sources
from knowledge_base.library.origin import Origin, licence_code
from knowledge_base.library.store import Library
from knowledge_base.yaml_files import ContentError
from tests.knowledge_base.library.papers import pdf, write

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ADVICE = (
    "A child with a cough who breathes fast, grunts or draws in the ribs with every breath must be"
    " seen by a doctor the same day, and at once when the lips turn blue or feeding stops."
)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    opened = Library(tmp_path / "kept" / "library.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "guides"


def take(library: Library, folder: Path, **given: object) -> Report:
    given = {"licence": "CC-BY-4.0", "audience": "both"} | given
    return ingest(library, sources(folder), given=given, now=lambda: NOW, whole=[folder.name])


def texts(library: Library) -> list[str]:
    return [stored.chunk.text for stored in library.chunks()]


def test_only_what_changed_is_read_again(library: Library, folder: Path) -> None:
    write(folder / "a.md", f"# A\n\n{ADVICE}")
    write(folder / "sub" / "b.md", "# B\n\nDrink enough.")
    first = take(library, folder)
    assert (first.taken, first.documents, first.chunks, first.broken) == (2, 2, 2, [])
    assert take(library, folder).unchanged == 2
    write(folder / "a.md", "# A\n\nAnother text.")
    again = take(library, folder)
    assert (again.taken, again.unchanged) == (1, 1)
    assert sorted(texts(library)) == ["Another text.", "Drink enough."]
    assert [d.id for d in library.documents()] == ["guides/a.md", "guides/sub/b.md"]


def test_another_origin_is_a_change(library: Library, folder: Path) -> None:
    write(folder / "a.md", f"# A\n\n{ADVICE}")
    take(library, folder)
    assert take(library, folder, year=2024).taken == 1
    assert next(library.documents()).origin.year == 2024


def test_what_is_gone_from_the_folder_is_gone_from_the_library(
    library: Library, folder: Path
) -> None:
    write(folder / "a.md", f"# A\n\n{ADVICE}")
    write(folder / "b.md", "# B\n\nDrink enough.")
    take(library, folder)
    (folder / "a.md").unlink()
    assert take(library, folder).removed == 1
    assert texts(library) == ["Drink enough."]


def test_a_broken_file_is_told_and_the_rest_lands(library: Library, folder: Path) -> None:
    write(folder / "a.pdf", b"%PDF-1.7 rubbish")
    write(folder / "b.md", f"# B\n\n{ADVICE}")
    write(folder / "ignored.exe", b"MZ")
    write(folder / ".hidden.md", "# x\n\ny")
    first = take(library, folder)
    assert (first.taken, [name for name, _ in first.broken]) == (1, ["guides/a.pdf"])
    again = take(library, folder)
    assert (again.unchanged, again.broken) == (2, first.broken)
    write(folder / "a.pdf", pdf([[(72, 700, 10, "Now it can be read.")]]))
    assert take(library, folder).taken == 1


def test_a_file_that_breaks_takes_its_old_text_with_it(library: Library, folder: Path) -> None:
    write(folder / "a.md", f"# A\n\n{ADVICE}")
    take(library, folder)
    write(folder / "a.md", "")
    assert take(library, folder).broken == [("guides/a.md", "it is empty")]
    assert texts(library) == []


def test_near_duplicates_are_kept_once_and_come_back_when_the_first_goes(
    library: Library, folder: Path
) -> None:
    write(folder / "a.md", f"# A\n\n{ADVICE} {ADVICE.lower()}")
    write(folder / "b.md", f"# B\n\n{ADVICE} {ADVICE.lower()} ok")
    report = take(library, folder)
    assert (report.chunks, report.duplicates) == (2, 1)
    assert len(texts(library)) == 1
    (folder / "a.md").unlink()
    take(library, folder)
    assert texts(library)[0].endswith("ok")
    write(folder / "c.md", f"# C\n\n{ADVICE} {ADVICE.lower()} well")
    assert take(library, folder).duplicates == 1


def test_a_run_that_is_stopped_goes_on(library: Library, folder: Path) -> None:
    for name in "abc":
        write(folder / f"{name}.md", f"# {name}\n\nText of {name}.")

    def stopped(files: Sequence[Source]) -> Iterator[Source]:
        yield files[0]
        raise KeyboardInterrupt

    given = {"licence": "CC-BY-4.0", "audience": "both"}
    with pytest.raises(KeyboardInterrupt):
        ingest(library, sources(folder), given=given, now=lambda: NOW, progress=stopped)
    assert texts(library) == ["Text of a."]
    report = take(library, folder)
    assert (report.taken, report.unchanged) == (2, 1)


def test_a_failure_while_writing_leaves_the_old_text(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.md", "# A\n\nThe old text.")
    take(library, folder)
    write(folder / "a.md", "# A\n\nThe new text.")

    def full(*_arguments: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Library, "_add", full)
    with pytest.raises(sqlite3.OperationalError):
        take(library, folder)
    assert texts(library) == ["The old text."]


def test_the_catalogue_says_where_files_come_from(library: Library, folder: Path) -> None:
    write(folder / "who" / "a.md", f"# A\n\n{ADVICE}")
    write(
        folder / "sources.yaml",
        "defaults: {licence: CC-BY-4.0, organisation: Somebody}\n"
        "files:\n  who/*: {organisation: World Health Organization, year: 2016, audience: both}\n",
    )
    ingest(library, sources(folder), given={"grade": "guideline"}, now=lambda: NOW)
    origin = next(library.documents()).origin
    assert (origin.organisation, origin.year, origin.grade, origin.licence) == (
        "World Health Organization", 2016, "guideline", "CC-BY-4.0",
    )  # fmt: skip
    assert origin.for_patients


@pytest.mark.parametrize(
    "text", ["defaults: [1]", "- a", "surprise: {}", "files: {'*': 3}", "defaults: {a: [}"]
)
def test_a_catalogue_in_another_shape_stops_the_run(folder: Path, text: str) -> None:
    write(folder / "sources.yaml", text)
    with pytest.raises(ContentError, match=r"sources\.yaml"):
        sources(folder)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"licence": "all rights reserved"}, "forbids showing"),
        ({"licence": "my own terms"}, "is not known"),
        ({"year": 1066}, "year"),
        ({"audience": "everybody"}, "audience"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_origin_that_cannot_be_is_told_for_the_file(
    library: Library, folder: Path, given: dict[str, object], why: str
) -> None:
    write(folder / "a.md", f"# A\n\n{ADVICE}")
    report = take(library, folder, **given)
    assert report.taken == 0
    assert why in report.broken[0][1]
    assert texts(library) == []


def test_no_stated_licence_keeps_patients_out() -> None:
    assert not Origin(audience="both").for_patients
    assert Origin(audience="both", licence="cc by 4.0").for_patients
    assert not Origin(audience="both", licence="CC0", access="staff").for_patients
    assert licence_code("CC-BY-NC-4.0") != licence_code("CC BY 4.0")


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret.md", "# secret\n\nsecret")
    folder.mkdir()
    (folder / "a.md").symlink_to(tmp_path / "secret.md")
    assert sources(folder) == []
    with pytest.raises(Unreadable, match="no such file"):
        sources(folder / "nothing")
