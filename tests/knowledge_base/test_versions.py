"""Indexes on disk: whole or not there, the served one until another is complete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from knowledge_base.cards import cards
from knowledge_base.library.chunking import Chunk
from knowledge_base.library.origin import Origin
from knowledge_base.library.store import StoredChunk, StoredDocument
from knowledge_base.search import versions
from knowledge_base.search.entry import Entry, card_entries, document_entries, loaded
from knowledge_base.search.filters import Filters
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.search.versions import FORMAT, NoIndex, current, open_index, publish, serve
from tests.knowledge_base.embedders import HashedTokens

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAME = "hashed@1"
LISTED = {name: cards()[name] for name in ("burns", "sepsis")}
QUERIES = ("烧伤冲水", "sepsis lactate", "handbook of leeches", "nothing at all zzz")


def passages() -> Iterator[Entry]:
    """Three chunks of three documents of different terms."""
    origins = {
        "a": Origin(licence="CC-BY-4.0", audience="both", year=2024, departments=("cardiology",)),
        "b": Origin(licence="unknown", audience="both", year=2010, grade="guideline"),
        "c": Origin(licence="internal", audience="physician"),
    }
    documents = [StoredDocument(d, d, f"Handbook {d}", o, 1, 0) for d, o in origins.items()]
    chunks = (
        StoredChunk(n, d, Chunk(f"{d}~1", ("Leeches",), f"Leeches in case {d}", "en", 7, 2))
        for n, d in enumerate(origins)
    )
    return document_entries(documents, chunks)


def built() -> KnowledgeIndex:
    return KnowledgeIndex.build(HashedTokens(), LISTED, passages())


def opened(folder: Path) -> KnowledgeIndex:
    return open_index(folder, HashedTokens(), NAME)


def found(index: KnowledgeIndex, query: str, filters: Filters | None = None) -> list[str]:
    return [hit.entry.id for hit in index.search(query, filters=filters or Filters())]


def test_an_index_answers_the_same_from_disk(tmp_path: Path) -> None:
    index = built()
    about = publish(index, NAME, tmp_path, NOW)
    assert (about.cards, about.documents, about.passages) == (2, 3, len(index.entries))
    again = opened(tmp_path)
    assert again.version == about.version == current(tmp_path)
    for query in QUERIES:
        before, after = index.search(query), again.search(query)
        assert [(h.entry, h.language, h.lexical_rank) for h in after] == [
            (h.entry, h.language, h.lexical_rank) for h in before
        ]
        assert [h.score for h in after] == pytest.approx([h.score for h in before], abs=1e-6)


def test_every_entry_is_kept_as_it_is() -> None:
    for entry in (*card_entries(LISTED.values()), *passages()):
        assert loaded(entry.dumped()) == entry


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(kind="document"), {"a~1", "b~1", "c~1"}),
        (Filters("patient", kind="document"), {"a~1"}),
        (Filters("physician", kind="document"), {"a~1", "b~1", "c~1"}),
        (Filters(since=2020, kind="document"), {"a~1"}),
        (Filters(licence="internal"), {"c~1"}),
        (Filters(grade="guideline", kind="document"), {"b~1"}),
        (Filters(department="cardiology", kind="document"), {"a~1"}),
        (Filters(department="dentistry"), set()),
    ],
)
def test_filters_keep_what_may_be_shown(filters: Filters, expected: set[str]) -> None:
    assert set(found(built(), "leeches", filters)) == expected


def test_what_is_there_is_served_until_the_next_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(built(), NAME, tmp_path, NOW)

    def full(*_arguments: object) -> None:
        raise OSError("no space left on device")

    for step in ("_write_entries", "_flush", "serve"):
        with monkeypatch.context() as patched:
            patched.setattr(versions, step, full)
            with pytest.raises(OSError, match="no space"):
                publish(built(), NAME, tmp_path, NOW + timedelta(seconds=1))
        assert current(tmp_path) == first.version
        assert found(opened(tmp_path), "leeches")


def test_what_a_killed_build_left_is_swept_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".building-1"
    left.mkdir(parents=True)
    (left / "index.json").write_text("{")
    publish(built(), NAME, tmp_path, NOW)
    assert not left.exists()


def test_three_versions_stay_and_an_older_one_can_be_served_again(tmp_path: Path) -> None:
    made = [publish(built(), NAME, tmp_path, NOW + timedelta(minutes=n)).version for n in range(5)]
    assert [about.version for about in versions.versions(tmp_path)] == made[-3:]
    serve(tmp_path, made[-2])
    assert opened(tmp_path).version == made[-2]
    with pytest.raises(NoIndex):
        serve(tmp_path, made[0])


def test_an_index_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match="no index"):
        opened(tmp_path)
    about = publish(built(), NAME, tmp_path, NOW)
    with pytest.raises(NoIndex, match="built with hashed@1"):
        open_index(tmp_path, HashedTokens(), "other@2")
    kept = tmp_path / about.version / "index.json"
    kept.write_text(kept.read_text().replace(f'"format": {FORMAT}', '"format": 0'))
    with pytest.raises(NoIndex, match="format"):
        opened(tmp_path)
    kept.write_text("{")
    with pytest.raises(NoIndex, match="cannot be read"):
        opened(tmp_path)
    (tmp_path / "current").write_text("../../etc")
    with pytest.raises(NoIndex):
        opened(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["lexical.json", "words.data.npy", "dense.vectors.npy", "filters.npz",
     "topics.json", "wholes/of.npy"],
)  # fmt: skip
@pytest.mark.parametrize("left", [None, 40])
def test_a_damaged_index_is_refused_and_stops_no_server(
    tmp_path: Path, name: str, left: int | None
) -> None:
    about = publish(built(), NAME, tmp_path, NOW)
    path = tmp_path / about.version / name
    if left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(NoIndex, match="damaged"):
        opened(tmp_path)
