"""The entity tagger: network and loss. Listed names and hashed n-grams help the text encoder.

Little is marked, so what needs no learning is given: which lists know a name here, and the n-grams
around each piece. The loss is that of a chain in which only whole
entities are legal (Lafferty et al. 2001, with fixed transitions): `models/text/entities.py` reads
the same chain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.text.entities import BEGIN, END, INSIDE, OUTSIDE, SINGLE, TAGS
from models.text.names import CODES
from training.text.encoder import Encoder

_GRAMS = ((-1,), (0,), (1,), (-2, -1), (-1, 0), (0, 1), (1, 2), (-2, -1, 0), (-1, 0, 1), (0, 1, 2))
"""Pieces by their distance, read together."""
_REACH = 2
_PRIME, _BOUND = 1_000_003, 2_147_483_647
_NEVER = -1e4


class Tagger(nn.Module):
    """ids and names int64 [N, L] to tag scores float32 [N, L, T * 5].

    `names` are those of `models/text/names.py`. `unseen`: the share of listed names and of
    n-grams that training hides, so that neither is trusted alone.
    """

    def __init__(
        self, encoder: Encoder, lists: int, kinds: int, width: int, buckets: int, unseen: float
    ) -> None:
        super().__init__()
        inner = encoder.shape.width
        self.lists, self.buckets, self.unseen = lists, buckets, unseen
        self.encoder = encoder
        self.name = nn.Embedding(lists * CODES, width)
        self.gram = nn.Embedding(buckets, width)
        beside = inner + 2 * width
        self.near = nn.Linear(3 * beside, 2 * width)
        self.tags = nn.Linear(beside + 2 * width, kinds * TAGS)
        self.dropout = nn.Dropout(0.2)
        nn.init.normal_(self.name.weight, std=0.1)
        nn.init.normal_(self.gram.weight, std=0.05)

    def forward(self, ids: Tensor, names: Tensor) -> Tensor:
        """See the class."""
        real = (ids != 0).to(torch.float32)[:, :, None]
        known = self.name(self._codes(names)).sum(dim=2)
        grams = self.gram(self._buckets(ids))
        grams = (grams * self._seen(grams)).sum(dim=2)
        states = self.dropout(torch.cat([self.encoder(ids), known, grams], dim=-1) * real)
        around = functional.pad(states, (0, 0, 1, 1))
        window = torch.cat([around[:, :-2], around[:, 1:-1], around[:, 2:]], dim=-1)
        near = functional.gelu(self.near(window), approximate="tanh")
        return torch.as_tensor(self.tags(torch.cat([states, self.dropout(near)], dim=-1)))

    def _codes(self, names: Tensor) -> Tensor:
        """Rows [N, L, lists] of the table of names; a list's first row says that it knows none."""
        each = [names // CODES**k % CODES for k in range(self.lists)]
        codes = torch.stack(each, dim=-1)
        if self.training:
            codes = codes * (torch.rand(codes.shape, device=codes.device) >= self.unseen)
        return codes + CODES * torch.arange(self.lists, device=codes.device)

    def _buckets(self, ids: Tensor) -> Tensor:
        """Rows [N, L, n-grams] of the table of n-grams."""
        length = ids.shape[1]
        wide = functional.pad(ids, (_REACH, _REACH))
        found = []
        for number, gram in enumerate(_GRAMS):
            key = torch.full_like(ids, number + 1)
            for distance in gram:
                begin = _REACH + distance
                key = (key * _PRIME + wide[:, begin : begin + length]) % _BOUND
            found.append(key % self.buckets)
        return torch.stack(found, dim=-1)

    def _seen(self, grams: Tensor) -> Tensor:
        if not self.training:
            return torch.ones(1, device=grams.device)
        kept = torch.rand(*grams.shape[:3], 1, device=grams.device) >= self.unseen
        return kept.to(grams.dtype) / (1 - self.unseen)


class Packed(nn.Module):
    """A tagger that takes both of its inputs as one: ids + names * pieces.

    The training loop knows one tensor per row, and hides a piece and its names together.
    """

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger
        self.pieces = tagger.encoder.shape.pieces

    def pack(self, ids: NDArray[np.int64], names: NDArray[np.int64]) -> NDArray[np.int64]:
        """One row's inputs as one."""
        return ids + names * self.pieces

    def forward(self, packed: Tensor) -> Tensor:
        """See the class."""
        return torch.as_tensor(self.tagger(packed % self.pieces, packed // self.pieces))


def tag_loss(outputs: Tensor, tags: Sequence[NDArray[np.int64]], weights: Tensor) -> Tensor:
    """Negative log-likelihood of the true tags per piece, its types weighted [T].

    `outputs` [N, L, T * 5] with START first; `tags` of every row, [T, its pieces].
    """
    scores = outputs[:, 1:].float()
    rows, length, _ = scores.shape
    scores = scores.reshape(rows, length, len(weights), TAGS).permute(0, 2, 1, 3)
    lengths = torch.tensor([row.shape[1] for row in tags], device=scores.device)
    padded = np.stack([np.pad(row, ((0, 0), (0, length - row.shape[1]))) for row in tags])
    truth = torch.from_numpy(padded).to(scores.device)
    real = torch.arange(length, device=scores.device) < lengths[:, None, None]
    given = (scores.gather(3, truth[..., None])[..., 0] * real).sum(dim=2)
    missing = _all_paths(scores, real) - given
    return (missing * weights.to(scores.device)).sum() / lengths.sum()


def _all_paths(scores: Tensor, real: Tensor) -> Tensor:
    """Log-sums [N, T] over all legal tags of scores [N, T, L, 5]; `real` [N, 1, L]."""
    closed = scores.new_zeros(scores.shape[:2])
    opened = torch.full_like(closed, _NEVER)
    alone = torch.logaddexp(scores[..., OUTSIDE], scores[..., SINGLE])
    for place in range(scores.shape[2]):
        here, counts = scores[:, :, place], real[:, :, place]
        ends = torch.logaddexp(closed + alone[:, :, place], opened + here[..., END])
        goes_on = torch.logaddexp(closed + here[..., BEGIN], opened + here[..., INSIDE])
        closed = torch.where(counts, ends, closed)
        opened = torch.where(counts, goes_on, opened)
    return closed
