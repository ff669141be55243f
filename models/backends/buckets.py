"""The few shapes that a network is run at where shapes must not vary: CUDA graphs.

Rows are padded to a power of two, lengths to the next of the manifest's. What is larger, or has
inputs of different lengths, has no bucket and runs as it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.backends import Tensor
from models.manifest import TensorSpec


class Bucket(NamedTuple):
    """A batch's size; `length` is 0 where no input has a length."""

    rows: int
    length: int


class Buckets:
    """Every bucket up to `max_rows` rows; `specs` are the inputs in the order of the program."""

    def __init__(self, specs: Sequence[TensorSpec], max_rows: int, lengths: Sequence[int]) -> None:
        self.specs = tuple(specs)
        self._texts = [i for i, spec in enumerate(specs) if -1 in spec.shape[1:]]
        plain = all(-1 not in spec.shape[2:] for spec in specs)
        self._rows = sorted({min(2**i, max_rows) for i in range(max_rows.bit_length() + 1)})
        self._lengths = sorted(lengths) if self._texts else [0]
        if not plain:
            self._lengths = []

    def __iter__(self) -> Iterator[Bucket]:
        """Every bucket, the largest first: what follows then fits into its memory."""
        return (Bucket(r, n) for r in reversed(self._rows) for n in reversed(self._lengths))

    def of(self, inputs: Sequence[Tensor]) -> Bucket | None:
        """The smallest bucket that holds the batch; None where none does."""
        lengths = {inputs[i].shape[1] for i in self._texts} or {0}
        rows = bisect_left(self._rows, len(inputs[0]))
        if len(lengths) > 1 or rows == len(self._rows):
            return None
        length = bisect_left(self._lengths, lengths.pop())
        if length == len(self._lengths):
            return None
        return Bucket(self._rows[rows], self._lengths[length])

    def shapes(self, bucket: Bucket) -> list[tuple[int, ...]]:
        """The shape of every input in a bucket."""
        return [
            (bucket.rows, *(bucket.length if size < 0 else size for size in spec.shape[1:]))
            for spec in self.specs
        ]


def pad_into(target: Tensor, source: Tensor) -> None:
    """Copy a batch into the beginning of a larger one, zeros behind each row's end.

    Rows that nobody asked for repeat the first: a row of nothing could be slow (denormal numbers)
    or no number at all (a mean over no piece).
    """
    rows = len(source)
    if target.shape[1:] != source.shape[1:]:
        target[:rows] = 0
    target[(slice(rows), *(slice(size) for size in source.shape[1:]))] = source
    if len(target) > rows:
        target[rows:] = target[:1]


def trim(
    outputs: dict[str, Tensor], specs: Sequence[TensorSpec], rows: int, length: int
) -> dict[str, Tensor]:
    """The outputs of `rows` rows of `length`: those with a length axis lose what was padded."""
    per_piece = {spec.name for spec in specs if len(spec.shape) > 1 and spec.shape[1] == -1}
    return {
        name: np.ascontiguousarray(value[:rows, :length] if name in per_piece else value[:rows])
        for name, value in outputs.items()
    }
