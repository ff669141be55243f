"""Hashed n-gram features: the one way in which the text models read a text.

Chinese characters, Latin words and numbers are the units of a text. Features are the runs of
one to three neighbouring units (punctuation ends a run) and, for Latin words, their inner
character n-grams, so that inflections and typing errors share features. Each is hashed by
arithmetic that is fixed here for ever (never by Python's salted `hash`), because the weights
of a shipped model are rows under these numbers. Pure numpy; it learns nothing.

Id 0 is padding and always weighs 0: rows of different length pad freely into one batch.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.text.normalise import is_cjk, normalise

Ids = NDArray[np.int64]
Weights = NDArray[np.float32]
_Codes = NDArray[np.uint64]

_UNIT = re.compile(r"[㐀-䶿一-鿿]|[a-z]+|[0-9]+(?:\.[0-9]+)?|[^\s㐀-䶿一-鿿a-z0-9]|\n")
_BREAK = 0
_WORD_SPACE = 1 << 40
_SUBWORD_SIZES = (3, 4, 5)
_LONGEST_WORD = 24
_CONCEPT = "\x02"

# splitmix64's constants (Steele, Lea and Flood 2014): a fixed, well-mixed 64-bit finaliser.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mixed(codes: _Codes) -> _Codes:
    """Spread 64-bit codes evenly; wraps around, as unsigned arithmetic does."""
    codes = (codes ^ (codes >> np.uint64(30))) * _MIX_1
    codes = (codes ^ (codes >> np.uint64(27))) * _MIX_2
    return codes ^ (codes >> np.uint64(31))


def _crc(text: str) -> int:
    return zlib.crc32(text.encode("utf-8"))


def _units(text: str) -> tuple[list[int], list[str]]:
    """Codes of the units in order (`_BREAK` for punctuation) and the Latin words among them."""
    codes: list[int] = []
    words: list[str] = []
    for unit in _UNIT.findall(text):
        first = unit[0]
        if is_cjk(first):
            codes.append(ord(first))
        elif "a" <= first <= "z":
            words.append(unit)
            codes.append(_WORD_SPACE + _crc(unit))
        elif "0" <= first <= "9":
            codes.append(_WORD_SPACE + _crc(unit))
        else:
            codes.append(_BREAK)
    return codes, words


def _runs(codes: list[int], longest: int) -> list[_Codes]:
    """Hashes of every run of 1 to `longest` units without a break in it."""
    units = np.asarray(codes, dtype=np.uint64)
    spread = _mixed((units + np.uint64(1)) * _GOLDEN)
    whole = units != _BREAK
    found = [spread[whole]]
    run, inside = spread, whole
    for size in range(2, longest + 1):
        if len(units) < size:
            break
        run = _mixed(run[:-1] * _GOLDEN + spread[size - 1 :])
        inside = inside[:-1] & whole[size - 1 :]
        found.append(run[inside])
    return found


def _subwords(words: list[str]) -> list[_Codes]:
    """Hashes of the character n-grams of `^word$`, for words of three letters or more."""
    joined = "".join(f"^{w[:_LONGEST_WORD]}$" for w in words if len(w) >= 3)
    if not joined:
        return []
    letters = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).astype(np.uint64)
    ends = np.cumsum(letters == ord("$"))
    found = []
    for size in _SUBWORD_SIZES:
        if len(letters) < size:
            break
        codes = np.zeros(len(letters) - size + 1, dtype=np.uint64)
        for offset in range(size):
            codes = codes * np.uint64(256) + letters[offset : len(letters) - size + 1 + offset]
        # A window that begins after k word ends and closes before the next lies in one word.
        last = ends[size - 1 :] - (letters[size - 1 :] == ord("$"))
        first = ends[: len(codes)] - (letters[: len(codes)] == ord("$"))
        found.append(_mixed((codes + np.uint64(7)) * _GOLDEN)[last == first])
    return found


@dataclass(frozen=True)
class NgramFeaturiser:
    """Text to hashed n-gram ids in [1, buckets) with weights 1 + ln(count).

    `max_characters`: what lies beyond is cut off, so that no text is slow.
    """

    buckets: int = 1 << 17
    max_characters: int = 2000
    longest_run: int = 3

    def __call__(self, text: str, concepts: Sequence[str] = ()) -> tuple[Ids, Weights]:
        """Ids int64 [L], ascending and distinct, and weights float32 [L] of a text.

        `concepts` are canonical names of findings: each adds the n-grams of its name and one
        feature of its own. A text without a single unit gives one padding id of weight 0.
        """
        shown = normalise(text[: self.max_characters])
        names = [normalise(name) for name in concepts]
        codes, words = _units("\n".join([shown, *names]))
        parts = [*_runs(codes, self.longest_run), *_subwords(words)]
        if names:
            own = np.asarray([_crc(_CONCEPT + name) for name in names], dtype=np.uint64)
            parts.append(_mixed((own + np.uint64(3)) * _GOLDEN))
        hashed = np.concatenate(parts)
        if hashed.size == 0:
            return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.float32)
        buckets = hashed % np.uint64(self.buckets - 1) + np.uint64(1)
        ids, counts = np.unique(buckets.astype(np.int64), return_counts=True)
        return ids, (1.0 + np.log(counts)).astype(np.float32)

    def tensors(self, text: str, concepts: Sequence[str] = ()) -> dict[str, NDArray[np.generic]]:
        """The model input for one row: `ids` int64 [1, L] and `weights` float32 [1, L]."""
        ids, weights = self(text, concepts)
        return {"ids": ids[None, :], "weights": weights[None, :]}


def featuriser_of(manifest: Manifest) -> NgramFeaturiser:
    """The featuriser that a model was trained with; KeyError where its manifest names none."""
    settings = manifest.preprocessing
    return NgramFeaturiser(
        int(settings["buckets"]), int(settings["max_characters"]), int(settings["longest_run"])
    )
