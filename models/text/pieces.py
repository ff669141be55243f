"""Text to the pieces that the text encoder reads: Chinese characters, Latin word pieces, marks.

The vocabulary lies beside the weights (`pieces.json`, the format of the `tokenizers` library).
Every piece keeps its span in the text as it was given, because normalising never moves a
character. Pure: it reads one file when it is made and nothing after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.text.normalise import normalise

VOCABULARY = "pieces.json"
PAD, UNKNOWN, START, BREAK, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, UNKNOWN, START, BREAK, MASK)
"""In the order of their ids: padding is 0 everywhere in this project."""


@dataclass(frozen=True)
class Pieces:
    """`ids` int64 [L], the first one START; `spans` (begin, end) of every piece after it."""

    ids: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]


class PieceReader:
    """Cuts texts with one vocabulary; at most `longest` pieces, START included. Thread-safe."""

    def __init__(self, vocabulary: Path, longest: int | None = None) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(vocabulary))
        self._longest = longest
        self.size: int = self._tokenizer.get_vocab_size()
        self.start, self.stop, self.mask = (self._id(name) for name in (START, BREAK, MASK))

    def _id(self, piece: str) -> int:
        found: int | None = self._tokenizer.token_to_id(piece)
        if found is None:
            raise ValueError(f"the vocabulary lacks {piece}")
        return found

    def __call__(self, *texts: str) -> Pieces:
        """Pieces of one text, or of several with BREAK between them (spans count on)."""
        ids, spans, shift = [self.start], [], 0
        for number, text in enumerate(texts):
            if number:
                ids.append(self.stop)
                spans.append((shift, shift))
            cut = self._tokenizer.encode(normalise(text), add_special_tokens=False)
            ids += cut.ids
            spans += [(begin + shift, end + shift) for begin, end in cut.offsets]
            shift += len(text)
        kept = len(ids) if self._longest is None else min(len(ids), self._longest)
        return Pieces(np.array(ids[:kept], dtype=np.int64), tuple(spans[: kept - 1]))


def head_and_tail(ids: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
    """At most `longest` ids: two thirds from the beginning, one from the end."""
    if len(ids) <= longest:
        return ids
    tail = longest // 3
    return np.concatenate([ids[: longest - tail], ids[-tail:]])


def joined(
    first: NDArray[np.int64], second: NDArray[np.int64], stop: int, first_longest: int, longest: int
) -> NDArray[np.int64]:
    """Two texts as one row: the first, `stop`, the second without its START; both cut to fit."""
    head = head_and_tail(first, first_longest)
    rest = second[1 : longest - len(head)]
    return np.concatenate([head, [stop], rest]).astype(np.int64)
