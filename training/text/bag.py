"""The embedding's network: a weighted sum of table rows, one row per hashed n-gram."""

from __future__ import annotations

import numpy as np
import torch

from training.text.stored import Floats, StoredEmbedding


def unit_weights(ids: torch.Tensor, weights: torch.Tensor, idf: torch.Tensor) -> torch.Tensor:
    """Counts [N, L] times the idf of their ids, divided by each row's Euclidean norm."""
    weights = weights * idf[ids].float()
    norm = torch.sqrt((weights * weights).sum(dim=1, keepdim=True))
    return weights / torch.clamp(norm, min=1e-6)


class HashedBag(torch.nn.Module):
    """ids int64 [N, L] and weights float32 [N, L] to unit vectors float32 [N, D].

    A text's tf-idf weights are divided by their norm first. A padding id adds nothing. The table is
    stored in four bits; ONNX Runtime unpacks it once, when it loads the file.
    """

    def __init__(self, table: Floats, idf: Floats) -> None:
        """`table` [V, D] as it was learned."""
        super().__init__()
        self.table = StoredEmbedding(torch.from_numpy(table))
        self.register_buffer("idf", torch.from_numpy(idf.astype(np.float16)))

    def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """See the class."""
        weights = unit_weights(ids, weights, self.get_buffer("idf"))
        summed = torch.matmul(weights.unsqueeze(1), self.table.whole()[ids]).squeeze(1)
        norm = torch.sqrt((summed * summed).sum(dim=1, keepdim=True))
        return summed / torch.clamp(norm, min=1e-6)
