"""The gate: what kind of picture is this? It stands before every imaging task.

A chest film for the chest task, a dermoscopic picture for the skin task; everything that is none
of the known kinds is `other`. How surprising the picture is for a kind, -ln p(kind), is its share
of the out-of-distribution score.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.backends import Tensors
from models.calibration import softmax
from models.imaging.decode import DecodedImage
from models.imaging.opinion import LabelProbability
from models.imaging.preprocess import preprocess, spec_of
from models.manifest import Label, Manifest

_LEAST = 1e-9
UNHEARD_OF = float(-np.log(_LEAST))
"""The score of what cannot be judged at all: beyond every limit, and still a number."""


def best_gate(manifests: Iterable[Manifest]) -> Manifest | None:
    """The gate that knows the most kinds of pictures, of those that may be loaded."""
    gates = [m for m in manifests if m.task == "image_kind"]
    return max(gates, key=lambda m: len(m.labels)) if gates else None


class ImageKindTask:
    """`Task[DecodedImage, probabilities per kind]`."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._spec = spec_of(manifest.preprocessing)
        self._places = {label.code: i for i, label in enumerate(manifest.labels)}

    @property
    def model(self) -> str:
        """The name of the model in the repository."""
        return self._manifest.name

    @property
    def version(self) -> int:
        """The version of the model."""
        return self._manifest.version

    def prepare(self, request: DecodedImage) -> Tensors:
        """`image` float32 [1, C, S, S]."""
        pixels = request.pixels if request.rgb is None else request.rgb
        return {"image": preprocess(pixels, self._spec)[None]}

    def finish(self, request: DecodedImage, outputs: Tensors) -> NDArray[np.float64]:
        """Calibrated probability [K] of every kind, in the manifest's order."""
        p: NDArray[np.float64] = softmax(outputs["logits"], self._manifest.calibration.temperature)[
            0
        ]
        return p

    def label(self, kind: str) -> Label | None:
        """The kind of that code; None where the gate does not know it."""
        place = self._places.get(kind)
        return None if place is None else self._manifest.labels[place]

    def surprise(self, probabilities: NDArray[np.float64], kind: str) -> float:
        """-ln p(kind) over the limit for that kind: above 1 the picture is foreign.

        As large as can be for a kind that the gate does not know: nothing is of it.
        """
        place, limit = self._places.get(kind), self._manifest.thresholds.get(kind)
        if place is None or limit is None:
            return UNHEARD_OF
        p = float(probabilities[place])
        return float(-np.log(max(p, _LEAST)) / limit) if np.isfinite(p) else UNHEARD_OF

    def named(self, probabilities: NDArray[np.float64]) -> tuple[LabelProbability, ...]:
        """The kinds, most probable first."""
        order = np.argsort(-probabilities, kind="stable")
        return tuple(
            LabelProbability(
                code=self._manifest.labels[i].code,
                name={"zh": self._manifest.labels[i].zh, "en": self._manifest.labels[i].en},
                probability=round(float(probabilities[i]), 4),
            )
            for i in order
        )
