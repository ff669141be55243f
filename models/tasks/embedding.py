"""Text to a vector of length 1, Chinese and English in one space, for dense search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends import Tensors
from models.manifest import Manifest
from models.text.ngrams import NgramFeaturiser, featuriser_of
from models.text.subwords import SubwordReader, subwords_of


class EmbeddingTask:
    """`manifest` is the embedding model's. Similarity is the dot product of two results.

    A model whose manifest has `longest` reads subwords, by the tokeniser in `folder`; any other
    reads n-grams and needs no folder.
    """

    model = "embedding"

    def __init__(self, manifest: Manifest, folder: Path | None = None) -> None:
        self._reader: NgramFeaturiser | SubwordReader
        if "longest" in manifest.preprocessing and folder is not None:
            self._reader = subwords_of(manifest, folder)
        else:
            self._reader = featuriser_of(manifest)
        self.dimension = manifest.outputs[0].shape[-1]

    def prepare(self, request: str) -> Tensors:
        """One row for a network of either kind; L varies, zeros pad.

        `ids` int64 [1, L] and `weights` float32 [1, L], or `SubwordReader.tensors`.
        """
        return self._reader.tensors(request)

    def finish(
        self,
        request: str,
        outputs: Tensors,
    ) -> NDArray[np.float32]:
        """The vector [D]; zeros where the text has no feature (a text of punctuation)."""
        vector: NDArray[np.float32] = outputs["embedding"][0].astype(np.float32)
        return vector
