"""Cards by the findings that they list: what a question names says which cards it is about.

A finding that few cards list weighs more (inverse document frequency). A card that lists only
a broader finding of the one named counts half.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from knowledge_base.lexicon.findings import Lexicon

BROADER = 0.5


class CardFindings:
    """How well each card fits a set of findings; a card is known by its position.

    `cards`: the findings that each lists.
    """

    def __init__(self, cards: Sequence[Sequence[str]], lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._listed = [frozenset(codes) for codes in cards]
        frequency = Counter(code for codes in self._listed for code in codes)
        self._weights = {c: math.log(1 + len(cards) / n) for c, n in frequency.items()}

    def scores(self, codes: Iterable[str]) -> NDArray[np.float32]:
        """The summed weight of the findings that each card shares, shape [number of cards]."""
        result = np.zeros(len(self._listed), dtype=np.float32)
        for code in codes:
            broader = self._lexicon.implied(code)
            for position, listed in enumerate(self._listed):
                if code in listed:
                    result[position] += self._weights[code]
                elif shared := broader & listed:
                    result[position] += BROADER * max(self._weights[c] for c in shared)
        return result
