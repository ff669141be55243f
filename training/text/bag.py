"""The embedding's network: a weighted sum of table rows, one row per hashed n-gram.

The table is stored as int8 with one fp16 scale per row and computed in fp32: weight-only, so a
text's output does not depend on who shares its batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """`values` int8 [V, D] times `scale` float16 [V] stand for a float table [V, D]."""

    values: NDArray[np.int8]
    scale: NDArray[np.float16]


def quantise(table: Floats) -> Quantised:
    """Symmetric int8 per row: the row's largest magnitude becomes 127."""
    peak = np.abs(table).max(axis=1)
    # Scales under fp16's smallest normal number would lose precision; such rows are nothing.
    scale = np.where(peak > 127 * 6.2e-5, peak / 127, 0).astype(np.float16)
    divisor = np.where(scale > 0, scale, 1).astype(np.float32)[:, None]
    values = np.clip(np.rint(table / divisor), -127, 127) * (scale > 0)[:, None]
    return Quantised(values.astype(np.int8), scale)


def unit_weights(ids: torch.Tensor, weights: torch.Tensor, idf: torch.Tensor) -> torch.Tensor:
    """Counts [N, L] times the idf of their ids, divided by each row's Euclidean norm."""
    weights = weights * idf[ids].float()
    norm = torch.sqrt((weights * weights).sum(dim=1, keepdim=True))
    return weights / torch.clamp(norm, min=1e-6)


class HashedBag(torch.nn.Module):
    """ids int64 [N, L] and weights float32 [N, L] to float32 [N, D].

    A text's tf-idf weights are divided by their norm first; `unit_output` returns vectors of
    length 1. A padding id adds nothing.
    """

    def __init__(
        self,
        table: Quantised,
        idf: Floats,
        bias: Floats,
        *,
        unit_output: bool = False,
    ) -> None:
        super().__init__()
        self.unit_output = unit_output
        self.register_buffer("values", torch.from_numpy(table.values))
        self.register_buffer("scale", torch.from_numpy(table.scale))
        self.register_buffer("idf", torch.from_numpy(idf.astype(np.float16)))
        self.register_buffer("bias", torch.from_numpy(bias.astype(np.float32)))

    def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """See the class."""
        values, scale = self.get_buffer("values"), self.get_buffer("scale")
        weights = unit_weights(ids, weights, self.get_buffer("idf"))
        weights = weights * scale[ids].float()
        summed = torch.matmul(weights.unsqueeze(1), values[ids].float()).squeeze(1)
        summed = summed + self.get_buffer("bias")
        if self.unit_output:
            norm = torch.sqrt((summed * summed).sum(dim=1, keepdim=True))
            summed = summed / torch.clamp(norm, min=1e-6)
        return summed
