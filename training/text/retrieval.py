"""How well an embedding finds the other half of a pair: recall@k with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.backends import Backend, Tensors
from models.manifest import Metric
from models.metrics import auc, bootstrap_interval
from training.export import pad

Floats = NDArray[np.float32]
_LARGEST = 64


def encode(
    backend: Backend, prepare: Callable[[str], Tensors], texts: Sequence[str], output: str
) -> Floats:
    """The embeddings [N, D] of the texts, in batches of like length."""
    rows = [prepare(text) for text in texts]
    order = sorted(range(len(rows)), key=lambda i: rows[i]["ids"].shape[1])
    parts: list[tuple[int, Floats]] = []
    for start in range(0, len(order), _LARGEST):
        some = order[start : start + _LARGEST]
        vectors = backend.run(pad([rows[i] for i in some]))[output].astype(np.float32)
        parts += list(zip(some, vectors, strict=True))
    found: Floats = np.stack([vector for _, vector in sorted(parts, key=lambda pair: pair[0])])
    return found


def ranks(queries: Floats, candidates: Floats, right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank [N] (0 is best) of candidate `right[i]` for query i; ties count against us."""
    scores = queries @ candidates.T
    target = scores[np.arange(len(queries)), right][:, None]
    found: NDArray[np.int64] = (scores >= target).sum(axis=1) - 1
    return found


def recall(found: NDArray[np.int64], k: int) -> Metric:
    """The share of ranks under k."""
    hit = found < k
    low, high = bootstrap_interval(lambda rows: float(hit[rows].mean()), len(hit))
    return Metric(value=float(hit.mean()), low=low, high=high)


def similarity_auc(left: Floats, right: Floats, alike: NDArray[np.int64]) -> Metric:
    """AUC of the cosine for "people judged these two alike"."""
    cosine = (left * right).sum(axis=1)
    low, high = bootstrap_interval(
        lambda rows: auc(alike[rows], cosine[rows]), len(alike), samples=300
    )
    return Metric(value=auc(alike, cosine), low=low, high=high)
