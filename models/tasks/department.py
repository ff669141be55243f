"""Which department: ranked probabilities over all of our level-2 departments.

Knows neither age nor sex nor urgency: the triage task applies those afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.ngrams import NgramFeaturiser, featuriser_of


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
    """See the module docstring; `manifest` is the department model's."""

    model = "department"

    def __init__(self, manifest: Manifest) -> None:
        self._featuriser: NgramFeaturiser = featuriser_of(manifest)
        self._codes = tuple(label.code for label in manifest.labels)
        self._temperature = manifest.calibration.temperature
        self.unsure = manifest.thresholds["unsure"]

    def prepare(self, request: DepartmentRequest) -> Tensors:
        """`ids` int64 [1, L] and `weights` float32 [1, L]; L varies, id 0 pads."""
        return self._featuriser.tensors(request.text, request.concepts)

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
