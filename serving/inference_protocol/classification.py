"""Triton's classification extension: an output as its largest elements, with their labels."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from models.backends import Tensor


def classes_of(tensor: Tensor, count: int, labels: Sequence[str]) -> list[list[str]]:
    """The `count` largest elements of each row, all where it has fewer: rows of strings.

    Each reads `VALUE:INDEX` or `VALUE:INDEX:LABEL`; the index counts the elements of the row,
    flattened. The largest is first, of equals the first; NaN is last.
    """
    rows = tensor.reshape(len(tensor), -1).astype(np.float64)
    chosen = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    return [
        [
            f"{row[index]:f}:{index}" + (f":{labels[index]}" if labels else "")
            for index in indices.tolist()
        ]
        for row, indices in zip(rows, chosen, strict=True)
    ]


def packed(texts: Sequence[str]) -> bytes:
    """Strings as binary data of type BYTES: each behind its length, four bytes little-endian."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
