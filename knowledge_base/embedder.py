"""What dense search asks of a text encoder. The model itself lives in another room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Maps texts of either language into one space; safe to call from several threads."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised rows, shape [len(texts), dimension]."""
        ...
