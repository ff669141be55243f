"""A model of two texts that ships: a linear half and an encoder's half in one graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from training.text.pair_features import PairFeatures
from training.text.pair_linear import NUMBERS_WEIGH, PairMachine
from training.text.pair_reader import PairReader
from training.text.sparse import Floats
from training.text.stored import StoredEmbedding, stored


class PairLinear(nn.Module):
    """pieces int64 [N, L] to the scores [N, sum of classes] of several machines, side by side."""

    def __init__(self, features: PairFeatures, machines: Sequence[PairMachine]) -> None:
        super().__init__()
        self.features = features
        weight = np.concatenate([m.machine.weight for m in machines], axis=1)
        self.classes = weight.shape[1]
        # The columns of a stored table come in pairs.
        runs = torch.from_numpy(weight[: features.rows])
        self.runs = StoredEmbedding(nn.functional.pad(runs, (0, self.classes % 2)))
        told, shift = [], []
        for m in machines:
            own = m.machine.weight[features.rows :] * NUMBERS_WEIGH / m.spread[:, None]
            told.append(own)
            shift.append(m.machine.bias - m.mean @ own)
        self.register_buffer("told", torch.from_numpy(np.concatenate(told, axis=1)))
        self.register_buffer("bias", torch.from_numpy(np.concatenate(shift)))

    def forward(self, pieces: Tensor) -> Tensor:
        """See the class."""
        ids, numbers = self.features(pieces)
        some = (ids > 0).to(numbers.dtype)
        held = (self.runs(ids) * some[:, :, None]).sum(dim=1)[:, : self.classes]
        held = held / torch.sqrt(some.sum(dim=1, keepdim=True).clamp(min=1.0))
        told = numbers @ self.get_buffer("told") + self.get_buffer("bias")
        return torch.as_tensor(held + told)


class PairHalves(nn.Module):
    """pieces int64 [N, L] to logits [N, sum of classes].

    The halves are multiplied as probabilities: `shares` [2, sum of classes] weigh the linear
    scores and the encoder's.
    """

    shares: Tensor

    def __init__(self, linear: PairLinear, reader: PairReader, shares: Floats) -> None:
        super().__init__()
        self.linear, self.reader = linear, stored(reader)
        self.register_buffer("shares", torch.from_numpy(shares))

    def share(self, shares: Floats) -> None:
        """Weigh the halves anew."""
        self.shares.copy_(torch.from_numpy(shares))

    def forward(self, pieces: Tensor) -> Tensor:
        """See the class."""
        linear, read = self.linear(pieces), self.reader(pieces)
        return torch.as_tensor(linear * self.shares[0] + read * self.shares[1])
