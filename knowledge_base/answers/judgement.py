"""How probable it is that a quote answers a question: what search and the reranker say, together.

A logistic model over five numbers, learned from the questions beside our cards that neither the
embedding nor the reranker had seen, over cards and over their exports, a third of them with the
card that answers taken away. The reranker alone puts a right quote on top for 53 % of these
questions, together it is 63 %. `python -m training.text.judgement_fit` fits the constants.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BELOW_BEST = 0.308
"""Per point of search score that the passage has less than the best one (which is 0)."""
RERANKED = 0.410
"""Per unit of the reranker's log-odds."""
RERANKED_BELOW_BEST = 0.654
COSINE = 4.226
"""Of the quote itself."""
RANK = -0.927
"""Per unit of ln(1 + rank), the rank of the passage from 0."""
BIAS = -2.703
_LEAST = 1e-5


def features(
    score: Floats, cosine: Floats, rank: NDArray[np.intp], reranked: Floats
) -> NDArray[np.float64]:
    """What the model reads of quotes, [n, 5]; n > 0.

    score, rank (from 0): of the passage in the search; cosine: of the quote and the question;
    reranked: the reranker's probability. All [n].
    """
    clipped = np.clip(reranked.astype(np.float64), _LEAST, 1 - _LEAST)
    odds = np.log(clipped / (1 - clipped))
    return np.stack(
        [score - score.max(), odds, odds - odds.max(), cosine, np.log1p(rank)], axis=1
    ).astype(np.float64)


def probabilities(
    score: Floats, cosine: Floats, rank: NDArray[np.intp], reranked: Floats
) -> Floats:
    """That each quote answers, [n]; see `features`."""
    if not len(reranked):
        return np.empty(0, dtype=np.float32)
    weights = (BELOW_BEST, RERANKED, RERANKED_BELOW_BEST, COSINE, RANK)
    total = BIAS + features(score, cosine, rank, reranked) @ np.array(weights)
    found: Floats = (1 / (1 + np.exp(-total))).astype(np.float32)
    return found
