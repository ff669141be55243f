"""How probable it is that a quote answers a question: what search and the reranker say, together.

A logistic model over five numbers, learned from the questions beside our cards that neither the
embedding nor the reranker had seen, over cards and over their exports, a third of them with the
card that answers taken away (docs/knowledge.md). The reranker alone puts a right quote on top for
55 % of these questions, together it is 65 %, and the probabilities are calibrated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BELOW_BEST = 0.225
"""Per point of search score that the passage has less than the best one (which is 0)."""
RERANKED = 0.501
"""Per unit of the reranker's log-odds."""
RERANKED_BELOW_BEST = 0.629
COSINE = 3.992
"""Of the quote itself."""
RANK = -0.939
"""Per unit of ln(1 + rank), the rank of the passage from 0."""
BIAS = -2.728
_LEAST = 1e-5


def probabilities(
    score: Floats, cosine: Floats, rank: NDArray[np.intp], reranked: Floats
) -> Floats:
    """Of quotes [n]: search score and rank of the passage, cosine of the quote, and the reranker's
    probability."""
    if not len(reranked):
        return np.empty(0, dtype=np.float32)
    clipped = np.clip(reranked.astype(np.float64), _LEAST, 1 - _LEAST)
    odds = np.log(clipped / (1 - clipped))
    total = (
        BIAS
        + BELOW_BEST * (score - score.max())
        + RERANKED * odds
        + RERANKED_BELOW_BEST * (odds - odds.max())
        + COSINE * cosine
        + RANK * np.log1p(rank)
    )
    found: Floats = (1 / (1 + np.exp(-total))).astype(np.float32)
    return found
