"""Text to a vector of length 1, Chinese and English in one space, for dense search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.backends import Tensors
from models.manifest import Manifest
from models.text.ngrams import featuriser_of


class EmbeddingTask:
    """`manifest` is the embedding model's. Similarity is the dot product of two results."""

    model = "embedding"

    def __init__(self, manifest: Manifest) -> None:
        self._featuriser = featuriser_of(manifest)
        self.dimension = manifest.outputs[0].shape[-1]

    def prepare(self, request: str) -> Tensors:
        """`ids` int64 [1, L] and `weights` float32 [1, L]; L varies, id 0 pads."""
        return self._featuriser.tensors(request)

    def finish(
        self,
        request: str,
        outputs: Tensors,
    ) -> NDArray[np.float32]:
        """The vector [D]; zeros where the text has no feature (a text of punctuation)."""
        vector: NDArray[np.float32] = outputs["embedding"][0].astype(np.float32)
        return vector
