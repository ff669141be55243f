"""A file that makes its reader hang, grow or crash is told, and the next one is read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from knowledge_base.library.document import Unreadable
from knowledge_base.library.ingest import ingest, sources
from knowledge_base.library.isolation import Isolated
from knowledge_base.library.reading import LARGEST
from knowledge_base.library.store import Library
from tests.knowledge_base.library.hostile_readers import process_of, read_hostile
from tests.knowledge_base.library.papers import write
from tests.knowledge_base.library.test_ingest import NOW, texts


def test_hostile_files_are_told_and_the_good_ones_land(tmp_path: Path) -> None:
    folder = tmp_path / "guides"
    for name in ("a good one", "dies", "grows", "leaves", "loops", "stumbles", "the last"):
        write(folder / f"{name}.md", f"# T\n\nText of {name}.")
    library = Library(tmp_path / "library.sqlite3")
    report = ingest(
        library,
        sources(folder),
        given={"licence": "CC-BY-4.0"},
        now=lambda: NOW,
        reading=Isolated(read_hostile, seconds=2, memory=2**28),
    )
    problems = {name.removeprefix("guides/"): why for name, why in report.broken}
    assert problems == {
        "dies.md": "the process that read it died of it (SIGSEGV)",
        "grows.md": "reading it takes more than 256 MiB of memory",
        "leaves.md": "the process that read it died of it (status 3)",
        "loops.md": "reading it took more than 2 seconds",
        "stumbles.md": "reading it failed (AssertionError)",
    }
    assert texts(library) == ["Text of a good one.", "Text of the last."]
    again = ingest(library, sources(folder), given={"licence": "CC-BY-4.0"}, now=lambda: NOW)
    assert (again.taken, again.unchanged) == (0, 7)
    library.close()


def test_one_process_reads_many_files_and_ends_with_the_run(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.md", f"# T\n\nText {n}.") for n in range(5)]
    with Isolated(process_of) as reading:
        processes = {reading(path, path.name, LARGEST)[0][0] for path in paths}
    (process,) = processes
    assert int(process) != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)


def test_what_a_reader_says_of_a_file_is_passed_on(tmp_path: Path) -> None:
    with Isolated(read_hostile) as reading:
        with pytest.raises(Unreadable, match="it is empty"):
            reading(write(tmp_path / "empty.md", ""), "empty.md", LARGEST)
        with pytest.raises(Unreadable, match="No such file"):
            reading(tmp_path / "gone.md", "gone.md", LARGEST)


def test_a_process_that_died_between_two_files_harms_neither(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "# T\n\nText.")
    with Isolated(process_of) as reading:
        first = int(reading(path, "a.md", LARGEST)[0][0])
        os.kill(first, 9)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and _runs(first):
            os.sched_yield()
        assert int(reading(path, "a.md", LARGEST)[0][0]) != first


def _runs(process: int) -> bool:
    """Whether a child has not ended yet; a dead one that nobody asked after is a zombie."""
    state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
