"""The encoder over two texts at once, with one head per question that is asked of the pair.

A small encoder does not find out alone which pieces two texts share, and that is most of what
makes them alike; so every piece is told whether the other text holds it, and whether it holds the
pair that it makes with the piece before (the exact-match feature of Chen et al. 2017,
arXiv:1704.00051, here inside the network). Where `compared`, every state is also set beside what
it attends to in the other text (Chen et al. 2017, arXiv:1609.06038).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.text.encoder import HIDDEN, PAIR, Encoder


class PairReader(nn.Module):
    """pieces int64 [N, L], two texts with `stop` between, to scores [N, sum of classes].

    The classes of the heads lie side by side, in the order given.
    """

    def __init__(
        self, encoder: Encoder, stop: int, classes: int, inner: int = 192, *, compared: bool = False
    ) -> None:
        super().__init__()
        width = encoder.shape.width
        self.encoder, self.stop = encoder, stop
        self.marks = nn.Embedding(8, width)
        self.dropout = nn.Dropout(0.2)
        self.compared = nn.Linear(4 * width, width) if compared else None
        self.mixed = nn.Linear((10 if compared else 6) * width, inner)
        self.head = nn.Linear(inner, classes)
        nn.init.normal_(self.marks.weight, std=0.02)

    def forward(self, pieces: Tensor) -> Tensor:
        """See the class."""
        real = pieces != 0
        after = (torch.cumsum((pieces == self.stop).to(torch.int64), dim=1) > 0) & real
        crossed = after[:, :, None] != after[:, None, :]
        crossed = crossed & real[:, :, None] & real[:, None, :]
        alone = ((pieces[:, :, None] == pieces[:, None, :]) & crossed).any(dim=2)
        before = torch.cat([torch.zeros_like(pieces[:, :1]), pieces[:, :-1]], dim=1)
        joined = before * PAIR + pieces
        paired = ((joined[:, :, None] == joined[:, None, :]) & crossed).any(dim=2)
        mark = after.to(torch.int64) + 2 * alone.to(torch.int64) + 4 * paired.to(torch.int64)
        states = self.encoder(pieces, self.marks(mark))
        begins, ends = real & ~after, after
        first, second = _mean(states, begins), _mean(states, ends)
        parts = [
            states[:, 0], first, second, _most(states, real), (first - second).abs(), first * second
        ]  # fmt: skip
        if self.compared is not None:
            beside = nn.functional.gelu(self.compared(self.dropout(_beside(states, crossed))))
            parts += [_mean(beside, begins), _mean(beside, ends)]
            parts += [_most(beside, begins), _most(beside, ends)]
        whole = self.dropout(torch.cat(parts, dim=-1))
        return torch.as_tensor(self.head(self.dropout(nn.functional.gelu(self.mixed(whole)))))


def _beside(states: Tensor, crossed: Tensor) -> Tensor:
    """Every state, what it attends to in the other text, their distance and product [N, L, 4 W]."""
    scores = states @ states.transpose(1, 2) * states.shape[-1] ** -0.5
    scores = scores + (~crossed).to(states.dtype) * HIDDEN
    other = torch.softmax(scores, dim=-1) @ states
    other = other * crossed.any(dim=2, keepdim=True).to(states.dtype)
    return torch.cat([states, other, (states - other).abs(), states * other], dim=-1)


def _most(states: Tensor, where: Tensor) -> Tensor:
    """The maximum over some places [N, W], 0 where there are none."""
    some = where.any(dim=1, keepdim=True).to(states.dtype)
    return (states + (~where).to(states.dtype)[:, :, None] * HIDDEN).amax(dim=1) * some


def _mean(states: Tensor, where: Tensor) -> Tensor:
    share = where.to(states.dtype)[:, :, None]
    return (states * share).sum(dim=1) / (share.sum(dim=1) + 1e-6)
