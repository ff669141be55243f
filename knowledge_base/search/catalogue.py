"""The documents of an index: what is there, and every document's passages in order.

Made once for each version of an index, by one walk over its passages; afterwards a list is read
from memory and a document's passages are read by their positions. Threads may share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowledge_base.language import Language
from knowledge_base.search.entry import Entry, Kind, Reader
from knowledge_base.search.index import Entries
from knowledge_base.tokeniser import fold


@dataclass(frozen=True, slots=True)
class Listed:
    """A card or a document of the library.

    title: in the languages that it has; year: of its newest source, 0 where unknown; positions: of
    its passages in the index; open_positions: of those that patients may read.
    """

    id: str
    kind: Kind
    title: Mapping[Language, str]
    year: int
    licence: str
    grade: str
    departments: tuple[str, ...]
    positions: tuple[int, ...]
    open_positions: tuple[int, ...]
    words: str
    """The titles in the form in which words are compared."""

    def seen_by(self, reader: Reader | None) -> tuple[int, ...]:
        """Positions of the passages that a reader may see; None sees everything."""
        return self.open_positions if reader == "patient" else self.positions


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents to list; None asks nothing. q: words that the title holds, all of them."""

    reader: Reader | None = None
    kind: Kind | None = None
    department: str | None = None
    q: str = ""

    def holds(self, document: Listed) -> bool:
        """Whether the document is wanted and has something that the reader may see."""
        return (
            bool(document.seen_by(self.reader))
            and self.kind in (None, document.kind)
            and (self.department is None or self.department in document.departments)
            and all(word in document.words for word in fold(self.q).split())
        )


class Catalogue:
    """The documents of one version of the index: the cards first, each kind by id."""

    def __init__(self, entries: Entries, version: str) -> None:
        """Walk over all passages: seconds for a hundred thousand of them."""
        self._entries, self.version = entries, version
        gathered: dict[tuple[Kind, str], _Gathered] = {}
        for position in range(len(entries)):
            entry = entries[position]
            key = (entry.kind, entry.document)
            gathered.setdefault(key, _Gathered(entry)).add(position, entry)
        self._documents = {key[1]: gathered[key].listed() for key in sorted(gathered)}

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, identity: str) -> Listed | None:
        """A document by id; None where there is none."""
        return self._documents.get(identity)

    def page(
        self, wanted: Wanted, *, after: tuple[str, str] | None = None, limit: int = 50
    ) -> tuple[list[Listed], bool]:
        """The next documents after (kind, id), and whether there are more."""
        found: list[Listed] = []
        for document in self._documents.values():
            if after is not None and (document.kind, document.id) <= after:
                continue
            if wanted.holds(document):
                if len(found) == limit:
                    return found, True
                found.append(document)
        return found, False

    def passages(self, document: Listed, reader: Reader | None = None) -> Iterator[Entry]:
        """What the reader may see of a document, in its order."""
        return (self._entries[position] for position in document.seen_by(reader))


class _Gathered:
    """What the walk has seen of one document."""

    def __init__(self, first: Entry) -> None:
        self.first, self.year = first, first.year
        self.titles: dict[Language, str] = {}
        self.positions: list[int] = []
        self.open: list[int] = []

    def add(self, position: int, entry: Entry) -> None:
        for language, shown in entry.shown.items():
            self.titles.setdefault(language, shown.title)
        self.year = max(self.year, entry.year)
        self.positions.append(position)
        if "patient" in entry.readers:
            self.open.append(position)

    def listed(self) -> Listed:
        first = self.first
        return Listed(
            first.document,
            first.kind,
            self.titles,
            self.year,
            first.licence,
            first.grade,
            first.departments,
            tuple(self.positions),
            tuple(self.open),
            fold("\n".join(self.titles.values())),
        )
