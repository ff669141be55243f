"""A trained network as it is shipped: layers in int8, tables in four bits, computed in fp32.

Weight-only, so that a text's output does not depend on who shares its batch. ONNX Runtime folds
the layers' scales when it loads the file; the tables stay small and only the rows that are
looked up are unpacked. A layer has one fp16 scale per row, a table one per 32 values: measured on
the learned urgency, its log-odds then move by .06 (their spread is 2.5).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Floats = NDArray[np.float32]
_GROUP = 32
_SHARES = np.linspace(0.5, 1.0, 11)


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
        return functional.linear(states, self._weight(), self.get_buffer("bias"))

    @torch.no_grad()
    def whole(self) -> nn.Linear:
        """The layer with its weights unfolded."""
        weight = self._weight()
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.copy_(weight)
        layer.bias.copy_(self.get_buffer("bias"))
        return layer

    def _weight(self) -> Tensor:
        return self.get_buffer("values").float() * self.get_buffer("scale").float()[:, None]


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
        return _unpacked(self.get_buffer("packed")[ids], self.get_buffer("scale")[ids])

    def whole(self) -> Tensor:
        """Every row [V, width]: where more is looked up than the table holds."""
        return _unpacked(self.get_buffer("packed"), self.get_buffer("scale"))


def _unpacked(packed: Tensor, scale: Tensor) -> Tensor:
    codes = packed.float()
    high = torch.floor(codes / 16)
    values = torch.cat([codes - 16 * high, high], dim=-1) - 8
    parts = values.view(*scale.shape, -1) * scale.float()[..., None]
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


def unfolded(net: nn.Module) -> nn.Module:
    """A copy of a stored network whose layers hold their numbers as floats: as large as before it
    was stored, the same values, and nothing to unfold at every batch."""
    plain = copy.deepcopy(net)
    for module in list(plain.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, StoredLinear):
                setattr(module, name, child.whole())
    return plain


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
