"""Which passages a search may show: by reader, department, year, licence and grade."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge_base.search.entry import Entry, Kind, Reader

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a passage must be; None asks nothing. since: year of its newest source, at least."""

    reader: Reader | None = None
    department: str | None = None
    since: int | None = None
    licence: str | None = None
    grade: str | None = None
    kind: Kind | None = None

    @property
    def tags(self) -> list[str]:
        """The tags that a passage must carry, as `FilterTable` names them."""
        wanted = {
            "reader": self.reader, "department": self.department, "licence": self.licence,
            "grade": self.grade, "kind": self.kind,
        }  # fmt: skip
        return [f"{name}:{value}" for name, value in wanted.items() if value is not None]


EVERYTHING = Filters()


class FilterTable:
    """For every tag the passages that carry it, and every passage's year."""

    def __init__(self, size: int, years: NDArray[np.int16], tagged: dict[str, Mask]) -> None:
        self._size, self._years, self._tagged = size, years, tagged

    @classmethod
    def build(cls, entries: Iterable[Entry]) -> FilterTable:
        """Passages in their order."""
        years: list[int] = []
        positions: dict[str, list[int]] = {}
        for position, entry in enumerate(entries):
            years.append(entry.year)
            for tag in _tags(entry):
                positions.setdefault(tag, []).append(position)
        tagged = {}
        for tag, held in positions.items():
            tagged[tag] = np.zeros(len(years), dtype=np.bool_)
            tagged[tag][held] = True
        return cls(len(years), np.array(years, dtype=np.int16), tagged)

    def allowed(self, filters: Filters) -> Mask | None:
        """Mask over passages, [n]; None where every passage may be shown."""
        if filters == EVERYTHING:
            return None
        mask = np.ones(self._size, dtype=np.bool_)
        for tag in filters.tags:
            mask &= self._tagged.get(tag, False)
        if filters.since is not None:
            mask &= self._years >= filters.since
        return mask

    def save(self, folder: Path) -> None:
        """Into an existing folder, for `load`."""
        none = np.zeros((0, self._size), dtype=np.bool_)
        masks = np.stack(list(self._tagged.values())) if self._tagged else none
        np.savez(
            folder / "filters.npz",
            years=self._years,
            tags=np.array(list(self._tagged), dtype=np.str_),
            masks=np.packbits(masks, axis=1),
        )

    @classmethod
    def load(cls, folder: Path) -> FilterTable:
        """As saved."""
        with np.load(folder / "filters.npz") as kept:
            years, tags = kept["years"], kept["tags"].tolist()
            masks = np.unpackbits(kept["masks"], axis=1, count=len(years)).astype(np.bool_)
        return cls(len(years), years, dict(zip(tags, masks, strict=True)))


def _tags(entry: Entry) -> list[str]:
    return [
        *(f"reader:{reader}" for reader in entry.readers),
        *(f"department:{code}" for code in entry.departments),
        f"licence:{entry.licence}",
        f"grade:{entry.grade}",
        f"kind:{entry.kind}",
    ]
