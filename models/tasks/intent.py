"""What a question asks for: eleven intents with probabilities. States no urgency and no place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.two_readings import TwoReadings


class IntentTask:
    """See the module docstring; `folder` is where the model's vocabulary lies."""

    model = "intent"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._reads = TwoReadings.of(manifest, folder)
        self._codes = tuple(label.code for label in manifest.labels)
        self._temperature = manifest.calibration.temperature

    def prepare(self, request: str) -> Tensors:
        """`ids` int64 and `weights` float32 [1, L], `pieces` int64 [1, M]."""
        return self._reads.tensors(request)

    def finish(self, request: str, outputs: Tensors) -> tuple[tuple[str, float], ...]:
        """Every intent's code, the most probable first; `outputs["logits"]` [1, C]."""
        probabilities = softmax(outputs["logits"], self._temperature)[0]
        order = np.argsort(-probabilities, kind="stable")
        return tuple((self._codes[i], float(probabilities[i])) for i in order)
