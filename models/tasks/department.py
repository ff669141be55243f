"""Which department: ranked probabilities over all of our level-2 departments.

The network reads the words twice, as hashed n-grams and as pieces in their order.

Knows neither age nor sex nor urgency: the triage task applies those afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.two_readings import TwoReadings


@dataclass(frozen=True)
class DepartmentRequest:
    """What the person said, and the canonical Chinese names of the present findings in it."""

    text: str
    concepts: tuple[str, ...] = ()


@dataclass(frozen=True)
class DepartmentProbability:
    """One level-2 department's code and its calibrated probability."""

    code: str
    probability: float


class DepartmentTask:
    """See the module docstring; `folder` is where the model's vocabulary lies."""

    model = "department"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._reads = TwoReadings.of(manifest, folder)
        self._codes = tuple(label.code for label in manifest.labels)
        self._temperature = manifest.calibration.temperature
        self.unsure = manifest.thresholds["unsure"]

    def prepare(self, request: DepartmentRequest) -> Tensors:
        """`ids` int64 and `weights` float32 [1, L], `pieces` int64 [1, M]; id 0 pads."""
        return self._reads.tensors(request.text, request.concepts)

    def finish(
        self,
        request: DepartmentRequest,
        outputs: Tensors,
    ) -> tuple[DepartmentProbability, ...]:
        """Every department, the most probable first; `outputs["logits"]` is [1, C]."""
        probabilities = softmax(outputs["logits"], self._temperature)[0]
        return tuple(
            DepartmentProbability(self._codes[i], float(probabilities[i]))
            for i in np.argsort(-probabilities, kind="stable")
        )
