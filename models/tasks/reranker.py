"""Does a passage answer a question? A cross-encoder reads both together, far better than two
vectors compared and far slower: it judges the best of a search, never the whole library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.pieces import VOCABULARY, PieceReader, joined


class RerankerTask:
    """`folder` is where the model's vocabulary lies. A request is a question and a passage."""

    model = "reranker"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._pieces = PieceReader(folder / VOCABULARY)
        self._question = int(manifest.preprocessing["question"])
        self._longest = int(manifest.preprocessing["longest"])
        self._temperature = manifest.calibration.temperature

    def prepare(self, request: tuple[str, str]) -> Tensors:
        """`pieces` int64 [1, L]; what is too long loses its end, the question its middle."""
        first, second = (self._pieces(text).ids for text in request)
        return {
            "pieces": joined(first, second, self._pieces.stop, self._question, self._longest)[None]
        }

    def finish(self, request: tuple[str, str], outputs: Tensors) -> float:
        """The probability that the passage answers; `outputs["logits"]` [1, 2]."""
        return float(self.probabilities(outputs["logits"])[0])

    def probabilities(self, logits: NDArray[np.generic]) -> NDArray[np.float32]:
        """Logits [N, 2], no and yes, to calibrated probabilities [N] of yes."""
        found: NDArray[np.float32] = softmax(logits, self._temperature)[:, 1].astype(np.float32)
        return found
