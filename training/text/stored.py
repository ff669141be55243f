"""A trained network as it is shipped: layers in int8, tables in four bits, computed in fp32.

Weight-only, so that a text's output does not depend on who shares its batch. ONNX Runtime folds
the layers' scales when it loads the file; the tables stay small and only the rows that are
looked up are unpacked. A layer has one fp16 scale per row, a table one per 32 values: measured on
the learned urgency, its log-odds then move by .06 (their spread is 2.5).
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.text.bag import Floats, quantise

_GROUP = 32
_SHARES = np.linspace(0.5, 1.0, 11)


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
    """A table of packed rows: the first half of a row in the low four bits, the other above."""

    def __init__(self, weight: Tensor) -> None:
        """`weight` float32 [V, W]; raises ValueError where W is odd."""
        super().__init__()
        if weight.shape[1] % 2:
            raise ValueError("the width of a table must be even")
        values, scale = _four_bits(weight.detach().numpy().astype(np.float32))
        low, high = np.hsplit((values + 8).astype(np.uint8), 2)
        self.register_buffer("packed", torch.from_numpy(low | (high << 4)))
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, ids: Tensor) -> Tensor:
        """ids [...] to [..., width]."""
        packed = self.get_buffer("packed")[ids].float()
        high = torch.floor(packed / 16)
        values = torch.cat([packed - 16 * high, high], dim=-1) - 8
        scale = self.get_buffer("scale")[ids].float()
        parts = values.view(*scale.shape, -1) * scale[..., None]
        return parts.view(values.shape)


def _four_bits(table: Floats) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Values -7 to 7 [V, D] and a scale per group [V, D / group], with the least squared error of
    a few scales per group: cutting the largest value off costs less than coarse steps."""
    rows, width = table.shape
    group = _GROUP if width % _GROUP == 0 else width
    parts = table.reshape(rows, width // group, group)
    peak = np.abs(parts).max(axis=-1)
    least = np.full(peak.shape, np.inf)
    best = np.zeros(peak.shape, dtype=np.float16)
    for share in _SHARES:
        scale = (peak * share / 7).astype(np.float16)
        error = ((_rounded(parts, scale) * scale[..., None] - parts) ** 2).sum(axis=-1)
        best = np.where(error < least, scale, best)
        least = np.minimum(error, least)
    return _rounded(parts, best).astype(np.int8).reshape(rows, width), best


def _rounded(parts: Floats, scale: NDArray[np.float16]) -> Floats:
    step = np.where(scale > 0, scale, 1).astype(np.float32)[..., None]
    found: Floats = np.clip(np.rint(parts / step), -7, 7)
    return found


def stored(net: nn.Module) -> nn.Module:
    """A copy of the network in which every linear layer and every table is stored small."""
    small = copy.deepcopy(net).cpu().eval()
    for module in list(small.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, StoredLinear(child))
            elif isinstance(child, nn.Embedding):
                setattr(module, name, StoredEmbedding(child.weight))
    return small
