"""Joining the tensors of several requests to one batch, and splitting the outputs again."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from models.backends import Tensor, Tensors


def rows_of(tensors: Tensors) -> int:
    """Rows of a request: the length of axis 0."""
    return len(next(iter(tensors.values())))


def length_of(tensors: Tensors) -> int:
    """Elements of a row of the largest tensor: tokens of a text, pixels of an image."""
    return max((prod(t.shape[1:]) for t in tensors.values()), default=1)


def join(requests: Sequence[Tensors]) -> dict[str, Tensor]:
    """One batch from rows: axis 0 is concatenated, other axes padded with zeros to the longest.

    A model whose rows differ in length must ignore zero padding; the repository's tests
    check batch invariance of every shipped model.
    """
    if len(requests) == 1:
        return dict(requests[0])
    return {name: _stack([r[name] for r in requests]) for name in requests[0]}


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    shape = tuple(max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True))
    if all(t.shape[1:] == shape for t in tensors):
        return np.concatenate(tensors)
    rows = sum(t.shape[0] for t in tensors)
    batch = np.zeros((rows, *shape), dtype=tensors[0].dtype)
    at = 0
    for tensor in tensors:
        block = tuple(slice(size) for size in tensor.shape[1:])
        batch[(slice(at, at + tensor.shape[0]), *block)] = tensor
        at += tensor.shape[0]
    return batch


def split(outputs: Tensors, rows: Sequence[int]) -> list[dict[str, Tensor]]:
    """The outputs of each request again, `rows[i]` rows for request i."""
    if len(rows) == 1:
        return [dict(outputs)]
    parts: list[dict[str, Tensor]] = []
    start = 0
    for count in rows:
        end = start + count
        parts.append({name: output[start:end] for name, output in outputs.items()})
        start = end
    return parts


def pieces(tensors: Tensors, rows: int) -> list[dict[str, Tensor]]:
    """A request as several of at most `rows` rows each, in order; `join` unites their outputs."""
    total = rows_of(tensors)
    return [
        {name: tensor[start : start + rows] for name, tensor in tensors.items()}
        for start in range(0, total, rows)
    ]
