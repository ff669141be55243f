"""One text read twice for a classifier: as hashed n-grams, and as pieces in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends import Tensors
from models.manifest import Manifest
from models.text.ngrams import NgramFeaturiser, featuriser_of
from models.text.pieces import VOCABULARY, PieceReader, head_and_tail


@dataclass(frozen=True)
class TwoReadings:
    """`longest`: pieces read; of a longer text its beginning and its end."""

    featuriser: NgramFeaturiser
    reader: PieceReader
    longest: int

    @classmethod
    def of(cls, manifest: Manifest, folder: Path) -> TwoReadings:
        """As a model's manifest says; its vocabulary lies in `folder`."""
        longest = int(manifest.preprocessing["longest"])
        return cls(featuriser_of(manifest), PieceReader(folder / VOCABULARY), longest)

    def tensors(self, text: str, concepts: Sequence[str] = ()) -> Tensors:
        """`ids` int64 and `weights` float32 [1, L], `pieces` int64 [1, M]; id 0 pads."""
        pieces = self.pieces(text, concepts)
        return {**self.featuriser.tensors(text, concepts), "pieces": pieces[None]}

    def pieces(self, text: str, concepts: Sequence[str] = ()) -> NDArray[np.int64]:
        """The words and, behind a break, the names of findings [M]."""
        named = ("、".join(concepts),) if concepts else ()
        return head_and_tail(self.reader(text, *named).ids, self.longest)
