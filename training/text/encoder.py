"""The small bilingual text encoder: piece and piece-pair embeddings under a few attention layers.

Most of what a short complaint says lies in neighbouring characters, so every position adds the
embedding of its hashed pair with the piece before it: a table costs no arithmetic, which is what
a CPU is short of. Pre-norm transformer layers (Vaswani et al. 2017; Xiong et al. 2020) above.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = -1e4
"""Added to what padding must not win: far below any score, and finite in bfloat16."""
PAIR = 1_000_003
"""A prime far above the vocabulary: neighbouring ids spread over all buckets."""


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder; `pieces` is the vocabulary, `pairs` the buckets of piece pairs."""

    pieces: int
    pairs: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    longest: int


class Layer(nn.Module):
    """Self-attention and feed-forward, each behind a layer norm and added to its input."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, self.width = shape.heads, shape.width
        self.before_attention = nn.LayerNorm(shape.width)
        self.attention = nn.Linear(shape.width, 3 * shape.width)
        self.mixed = nn.Linear(shape.width, shape.width)
        self.before_feed = nn.LayerNorm(shape.width)
        self.feed = nn.Linear(shape.width, shape.feed_forward)
        self.fed = nn.Linear(shape.feed_forward, shape.width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, unseen: Tensor) -> Tensor:
        """states [N, L, W]; `unseen` [N, 1, 1, L] is added to scores: -inf hides padding."""
        rows, length, _ = states.shape
        asked, offered, given = self.attention(self.before_attention(states)).chunk(3, dim=-1)
        split = (rows, length, self.heads, self.width // self.heads)
        asked = asked.view(split).transpose(1, 2)
        offered = offered.view(split).permute(0, 2, 3, 1)
        given = given.view(split).transpose(1, 2)
        scores = asked @ offered * (self.width // self.heads) ** -0.5 + unseen
        seen = (torch.softmax(scores, dim=-1) @ given).transpose(1, 2)
        states = states + self.dropout(self.mixed(seen.reshape(rows, length, self.width)))
        fed = self.fed(functional.gelu(self.feed(self.before_feed(states)), approximate="tanh"))
        return torch.as_tensor(states + self.dropout(fed))


class Encoder(nn.Module):
    """ids int64 [N, L] to states float32 [N, L, W]; id 0 pads and changes no other state."""

    def __init__(self, shape: Shape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.piece = nn.Embedding(shape.pieces, shape.width, padding_idx=0)
        self.pair = nn.Embedding(shape.pairs, shape.width)
        self.place = nn.Embedding(shape.longest, shape.width)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.last = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(dropout)
        for table in (self.piece, self.pair, self.place):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: Tensor, marks: Tensor | None = None) -> Tensor:
        """See the class; `marks` [N, L, W] joins what a place says of itself."""
        before = torch.cat([torch.zeros_like(ids[:, :1]), ids[:, :-1]], dim=1)
        pairs = (before * PAIR + ids) % self.shape.pairs
        places = torch.cumsum(torch.ones_like(ids[:1]), dim=1) - 1
        said = self.piece(ids) + self.pair(pairs) + self.place(places)
        states = self.dropout(said if marks is None else said + marks)
        unseen = (ids == 0).to(states.dtype)[:, None, None, :] * HIDDEN
        for layer in self.layers:
            states = layer(states, unseen)
        return torch.as_tensor(self.last(states))


def pooled(states: Tensor, ids: Tensor) -> Tensor:
    """Mean over the pieces of each row [N, W], padding left out."""
    real = (ids != 0).to(states.dtype)[:, :, None]
    return (states * real).sum(dim=1) / real.sum(dim=1)


def mean_and_maximum(states: Tensor, ids: Tensor) -> Tensor:
    """Mean and maximum over the pieces of each row [N, 2 W], padding left out."""
    unseen = (ids == 0).to(states.dtype)[:, :, None] * HIDDEN
    return torch.cat([pooled(states, ids), (states + unseen).amax(dim=1)], dim=-1)
