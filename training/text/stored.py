"""A trained network as it is shipped: weights int8 with one fp16 scale per row, computed in fp32.

Weight-only, so that a text's output does not depend on who shares its batch. ONNX Runtime folds
the layers' scales when it loads the file; the tables stay small and only the rows that are
looked up are scaled.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.text.bag import quantise


class StoredLinear(nn.Module):
    """A linear layer from int8 rows."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        table = quantise(layer.weight.detach().numpy().astype(np.float32))
        self.register_buffer("values", torch.from_numpy(table.values))
        self.register_buffer("scale", torch.from_numpy(table.scale))
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, states: Tensor) -> Tensor:
        """states [..., in] to [..., out]."""
        weight = self.get_buffer("values").float() * self.get_buffer("scale").float()[:, None]
        return functional.linear(states, weight, self.get_buffer("bias"))


class StoredEmbedding(nn.Module):
    """A table of int8 rows."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        small = quantise(table.weight.detach().numpy().astype(np.float32))
        self.register_buffer("values", torch.from_numpy(small.values))
        self.register_buffer("scale", torch.from_numpy(small.scale))

    def forward(self, ids: Tensor) -> Tensor:
        """ids [...] to [..., width]."""
        rows: Tensor = self.get_buffer("values")[ids].float()
        return rows * self.get_buffer("scale")[ids].float()[..., None]


def stored(net: nn.Module) -> nn.Module:
    """A copy of the network in which every linear layer and every table is stored small."""
    small = copy.deepcopy(net).cpu().eval()
    for module in list(small.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, StoredLinear(child))
            elif isinstance(child, nn.Embedding):
                setattr(module, name, StoredEmbedding(child))
    return small
