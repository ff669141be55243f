"""Lists of medical names as a hint to a tagger: where in a text does a listed name stand?

The lists are sets of hashes in one file beside the weights (`names.npz`): enough to know a name
that is met, and no list that could be read out. Pure: reads one file when it is made.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.text.normalise import normalise

NAMES = "names.npz"
LONGEST_NAME = 14
"""Pieces of the longest name that is looked up."""
CODES = 13
"""What a piece is to a list's longest name over it: nothing, all of it, or its begin, end or
inside, by the name's length of 2, 3, 4 or more pieces (inside: 3, 4 or more)."""
_ALONE, _BEGINS, _ENDS, _INSIDE = 1, 2, 6, 9
_LENGTHS = 5


class NameLists:
    """Looks names up by their hash. Thread-safe."""

    def __init__(self, lists: Sequence[str], members: Mapping[int, int]) -> None:
        """`members`: hash of a name to the lists that hold it, one bit each."""
        self.lists = tuple(lists)
        self._members = members

    @classmethod
    def of(cls, names: Mapping[str, Collection[str]]) -> NameLists:
        """Lists from their names."""
        members: dict[int, int] = {}
        for number, listed in enumerate(names.values()):
            for name in listed:
                key = _hash(normalise(name))
                members[key] = members.get(key, 0) | 1 << number
        return cls(tuple(names), members)

    @classmethod
    def read(cls, path: Path) -> NameLists:
        """What `write` wrote."""
        with np.load(path) as stored:
            members = zip(stored["hashes"].tolist(), stored["members"].tolist(), strict=True)
            return cls(stored["lists"].tolist(), dict(members))

    def write(self, path: Path) -> None:
        """One small file; the same lists give the same file."""
        keys = sorted(self._members)
        np.savez_compressed(
            path,
            lists=np.array(self.lists),
            hashes=np.array(keys, dtype=np.uint32),
            members=np.array([self._members[key] for key in keys], dtype=np.uint16),
        )

    def codes(self, text: str, spans: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
        """For every piece one number that holds its code in every list: sum of code * CODES**k.

        int64 [1 + pieces]; the first place is START's and 0. `spans` are the pieces' characters.
        """
        plain = normalise(text)
        longest = np.zeros((len(self.lists), len(spans)), dtype=np.int64)
        codes = np.zeros_like(longest)
        for first, (begin, _) in enumerate(spans):
            for last in range(first, min(first + LONGEST_NAME, len(spans))):
                member = self._members.get(_hash(plain[begin : spans[last][1]]), 0)
                if member:
                    self._mark(codes, longest, member, first, last)
        scale = CODES ** np.arange(len(self.lists), dtype=np.int64)
        return np.pad((codes * scale[:, None]).sum(axis=0), (1, 0))

    def _mark(
        self,
        codes: NDArray[np.int64],
        longest: NDArray[np.int64],
        member: int,
        first: int,
        last: int,
    ) -> None:
        length = last - first + 1
        for number in range(len(self.lists)):
            if member >> number & 1:
                place = slice(first, last + 1)
                wider = longest[number, place] < length
                codes[number, place] = np.where(wider, _shape(length), codes[number, place])
                longest[number, place] = np.maximum(longest[number, place], length)


def _shape(length: int) -> NDArray[np.int64]:
    """Codes of the pieces of a name of this length."""
    if length == 1:
        return np.array([_ALONE])
    bucket = min(length, _LENGTHS) - 2
    codes = np.full(length, _INSIDE + bucket, dtype=np.int64)
    codes[0], codes[-1] = _BEGINS + bucket, _ENDS + bucket
    return codes


def _hash(name: str) -> int:
    return zlib.crc32(name.encode("utf-8"))
