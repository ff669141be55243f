"""What a question asks for: eleven intents with probabilities. States no urgency and no place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.pieces import VOCABULARY, PieceReader, head_and_tail


class IntentTask:
    """See the module docstring; `folder` is where the model's vocabulary lies."""

    model = "intent"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._pieces = PieceReader(folder / VOCABULARY)
        self._longest = int(manifest.preprocessing["longest"])
        self._codes = tuple(label.code for label in manifest.labels)
        self._temperature = manifest.calibration.temperature

    def prepare(self, request: str) -> Tensors:
        """`pieces` int64 [1, L]; of a longer text its beginning and its end."""
        return {"pieces": head_and_tail(self._pieces(request).ids, self._longest)[None]}

    def finish(self, request: str, outputs: Tensors) -> tuple[tuple[str, float], ...]:
        """Every intent's code, the most probable first; `outputs["logits"]` [1, C]."""
        probabilities = softmax(outputs["logits"], self._temperature)[0]
        order = np.argsort(-probabilities, kind="stable")
        return tuple((self._codes[i], float(probabilities[i])) for i in order)
