"""How a network runs. A backend turns named tensors into named tensors, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.generic]
Tensors = Mapping[str, Tensor]


class Backend(Protocol):
    """A loaded network. `run` is thread-safe and blocks; axis 0 of every tensor is the batch."""

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """Outputs by name for a batch of inputs by name.

        Raises ModelRunError where the network fails or is closed.
        """
        ...

    def close(self) -> None:
        """Let go of the network's memory and threads; twice is once. What runs may finish."""
        ...
