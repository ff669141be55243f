"""Takes files and folders into the library: only what changed, a broken file alone left out.

What a file gives depends on its bytes, on its origin and on how we read: these make its recipe,
and a file whose bytes and recipe are known is passed over. So a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from knowledge_base.library.document import Unreadable
from knowledge_base.library.isolation import Isolated
from knowledge_base.library.origin import Catalogue, Origin, read_catalogue
from knowledge_base.library.reading import LARGEST, Content, read_content, suffixes
from knowledge_base.library.store import FileState, Library

READING = 2
"""Raised whenever reading or cutting changes: files are then taken anew."""
_BLOCK = 1 << 20

Reading = Isolated[[Path, str, int], Content]
"""What reads a file: its path, its name in the library, the most bytes that it may have."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file with the name that it has in the library, `COLLECTION/PATH`."""

    path: Path
    name: str
    relative: Path
    catalogue: Catalogue


@dataclass
class Report:
    """What came of a run. broken: (file, why), also of files that were broken before."""

    taken: int = 0
    unchanged: int = 0
    removed: int = 0
    documents: int = 0
    chunks: int = 0
    duplicates: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)


def sources(place: Path, collection: str | None = None) -> list[Source]:
    """The files of a folder that some reader takes, or the one file; in the order of their names.

    Hidden files and `sources.yaml` are passed over, and what a link leads to outside the folder.
    Raises Unreadable for a place that is not there, ContentError for a bad catalogue.
    """
    if place.is_file():
        name = collection or place.parent.resolve().name
        return [
            Source(place, f"{name}/{place.name}", Path(place.name), read_catalogue(place.parent))
        ]
    if not place.is_dir():
        raise Unreadable(f"{place}: no such file or folder")
    root, catalogue = place.resolve(), read_catalogue(place)
    name = collection or root.name
    found = []
    for path in sorted(place.rglob("*")):
        relative = path.relative_to(place)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in suffixes() or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            continue
        found.append(Source(path, f"{name}/{relative.as_posix()}", relative, catalogue))
    return found


def ingest(
    library: Library,
    listed: Sequence[Source],
    *,
    given: Mapping[str, object],
    now: Callable[[], datetime],
    whole: Sequence[str] = (),
    largest: int = LARGEST,
    progress: Callable[[Sequence[Source]], Iterator[Source]] = iter,
    reading: Reading | None = None,
) -> Report:
    """Take the files. given: parts of their origin, before those of the catalogue.

    whole: collections that `listed` is complete for: what the library holds of them besides is
    taken out. A file that can no longer be read takes what it gave before with it: a guideline
    must not answer that its publisher has replaced. reading: by default in a process of its own.
    """
    report, known = Report(), library.files()
    with reading or Isolated(read_content) as read:
        for source in progress(listed):
            try:
                state, origin = _state(source, given)
            except (OSError, ValidationError, ValueError) as error:
                report.broken.append((source.name, _why(error)))
                continue
            before = known.get(source.name)
            if before and (before.sha256, before.recipe) == (state.sha256, state.recipe):
                report.unchanged += 1
                if before.status == "broken":
                    report.broken.append((source.name, before.problem))
                continue
            _take(library, source, state, origin, report, now(), largest, read)
    names = {source.name for source in listed}
    gone = [n for n in known if n not in names and n.split("/", 1)[0] in whole]
    library.forget(gone)
    report.removed = len(gone)
    return report


def _take(
    library: Library,
    source: Source,
    state: FileState,
    origin: Origin,
    report: Report,
    at: datetime,
    largest: int,
    read: Reading,
) -> None:
    try:
        if not origin.terms.serve:
            raise Unreadable(f"its licence ({origin.licence}) forbids showing it to anybody")
        content = [
            (identity, document, _dated(origin, document.published), pieces)
            for identity, document, pieces in read(source.path, source.name, largest)
        ]
    except (Unreadable, OSError) as error:
        problem = _why(error)
        report.broken.append((source.name, problem))
        library.put(source.name, FileState(state.sha256, state.recipe, "broken", problem), (), at)
        return
    taken = library.put(source.name, state, content, at)
    report.taken += 1
    report.documents += taken.documents
    report.chunks += taken.chunks
    report.duplicates += taken.duplicates


def _state(source: Source, given: Mapping[str, object]) -> tuple[FileState, Origin]:
    origin = source.catalogue.origin(source.relative, given)
    digest = hashlib.sha256()
    with source.path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    recipe = hashlib.sha256(f"{READING}\0{origin.model_dump_json()}".encode()).hexdigest()[:16]
    return FileState(digest.hexdigest(), recipe, "taken", ""), origin


def _dated(origin: Origin, published: str | None) -> Origin:
    """The origin with the document's own date where nobody stated one."""
    if origin.year is not None or origin.published is not None or not published:
        return origin
    try:
        return Origin.model_validate(origin.model_dump() | _date(published))
    except ValidationError:
        return origin  # 2023-02-30 and the like: as good as none


def _date(published: str) -> dict[str, object]:
    if published[:4].isdigit() and len(published) < len("2023-01-01"):
        return {"year": int(published[:4])}
    return {"published": published}


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
