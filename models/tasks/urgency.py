"""How urgent a message sounds, and whether it speaks of a crisis: the learned half of triage.

It reads the patient's words alone and knows no rule. It only ever raises what the rules said:
`models/triage/learned.py` holds how.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.backends import Tensors
from models.manifest import Manifest
from models.text.pieces import VOCABULARY, PieceReader, head_and_tail


@dataclass(frozen=True)
class Urgency:
    """Probabilities that the disposition is at most 1, 2, 3, 4, and that this is a crisis."""

    at_most: tuple[float, float, float, float]
    crisis: float


class UrgencyTask:
    """See the module docstring; `folder` is where the model's vocabulary lies."""

    model = "urgency"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._pieces = PieceReader(folder / VOCABULARY)
        self._longest = int(manifest.preprocessing["longest"])

    def prepare(self, request: str) -> Tensors:
        """`ids` int64 [1, L]; of a text that is too long the beginning and the end."""
        return {"ids": head_and_tail(self._pieces(request).ids, self._longest)[None]}

    def finish(self, request: str, outputs: Tensors) -> Urgency:
        """`outputs["urgency"]` [1, 5]: calibrated log-odds, cumulative levels first."""
        odds = outputs["urgency"][0].astype(np.float64)
        *levels, crisis = (float(p) for p in 1.0 / (1.0 + np.exp(-odds)))
        # What is at most 2 is at most 3: the outputs are fitted one by one and may disagree.
        first, second, third, fourth = np.maximum.accumulate(levels).tolist()
        return Urgency((first, second, third, fourth), crisis)
