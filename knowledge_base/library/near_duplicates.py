"""Finds chunks that say the same in nearly the same words: MinHash with banding.

Broder 1997: the share of equal minima of hashed shingles estimates the Jaccard similarity of two
texts. Bands of minima make candidates (Leskovec et al., Mining of Massive Datasets, ch. 3), which
are then compared exactly. Hashes depend on the text alone, so they may be stored.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from knowledge_base.tokeniser import fold, is_han

ALIKE = 0.85
"""Jaccard similarity of shingles from which two chunks are one."""
BANDS, _ROWS = 8, 4  # candidates from a similarity of about 0.6
_SHINGLE = 5  # characters of Chinese, or words
_LEAST_SHINGLES = 8  # shorter texts (a heading, a dose line) are equal or not

_random = np.random.default_rng(1)
_FACTORS = _random.integers(1, 2**31 - 1, BANDS * _ROWS, dtype=np.uint64)
_OFFSETS = _random.integers(0, 2**31 - 1, BANDS * _ROWS, dtype=np.uint64)
_PRIME = np.uint64(2**31 - 1)


def shingles(text: str) -> NDArray[np.uint64]:
    """Hashes of the runs of five words (Chinese: characters), each once; a short text is one."""
    words = [word for run in fold(text).split() for word in _units(run)]
    if len(words) < _SHINGLE + _LEAST_SHINGLES:
        return np.array([zlib.crc32(" ".join(words).encode())], dtype=np.uint64)
    runs = (" ".join(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1))
    return np.unique(np.fromiter((zlib.crc32(run.encode()) for run in runs), dtype=np.uint64))


def bands(hashes: NDArray[np.uint64]) -> list[int]:
    """One number per band: texts that share one are candidates. Positive 63-bit numbers."""
    mixed = (hashes[:, None] % _PRIME * _FACTORS + _OFFSETS) % _PRIME
    minima = mixed.min(axis=0).reshape(BANDS, _ROWS)
    return [int.from_bytes(row.tobytes(), "little") % (2**63 - 1) for row in minima]


def alike(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    """Whether the Jaccard similarity of two sets of shingles reaches `ALIKE`."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared >= ALIKE * (len(one) + len(other) - shared)


def _units(run: str) -> list[str]:
    """Chinese characters one by one, other letters and digits as words."""
    units: list[str] = []
    word = ""
    for character in run:
        if is_han(character):
            units += [word, character] if word else [character]
            word = ""
        elif character.isalnum():
            word += character
    return [*units, word] if word else units
