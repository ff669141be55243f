"""A pair of texts as a linear machine reads it: which runs of pieces both hold, and how much.

A run of one to three pieces says whether both texts hold it, the first alone or the second alone;
some numbers say how far the texts overlap. All of it is computed from the pieces inside the
network, so that a model that reads a pair needs one input. Nothing here learns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_PAIR = 1_000_003
"""A prime far above the vocabulary: three pieces make one number without a clash."""
_LONGEST_RUN = 3
_LONGEST_SHARED = 10
NUMBERS = 66
"""How many numbers tell the overlap of a pair, their squares included."""


@dataclass(frozen=True)
class _Runs:
    """Where runs of one size end, bool [N, L], each run once; `keys` int64 [N, L] tells them."""

    keys: Tensor
    shared: Tensor
    first: Tensor
    second: Tensor


class PairFeatures(nn.Module):
    """pieces int64 [N, L], two texts with `stop` between, to runs and numbers.

    `rarity` float32 [V]: a weight per piece, 0 for punctuation, which counts for nothing here.
    The runs fall into `buckets`, apart for both texts, the first alone, the second alone: int64
    [N, 3 L] in [0, rows), 0 for none. The numbers: float32 [N, NUMBERS].
    """

    def __init__(self, rarity: Tensor, stop: int, buckets: int) -> None:
        super().__init__()
        self.register_buffer("rarity", rarity.to(torch.float16))
        self.stop, self.buckets, self.rows = stop, buckets, 1 + 3 * buckets

    def forward(self, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        rarity = self.get_buffer("rarity").float()[pieces]
        after = torch.cumsum((pieces == self.stop).to(torch.int64), dim=1) > 0
        begun = torch.cumsum(torch.ones_like(pieces), dim=1) > 1
        word = (rarity > 0) & begun
        first, second = word & ~after, word & after
        keys, in_first, in_second = pieces, first, second
        ids, numbers = [], []
        for size in range(1, _LONGEST_RUN + 1):
            if size > 1:
                keys = _before(keys) * _PAIR + pieces
                in_first, in_second = first & _before(in_first), second & _before(in_second)
            runs = _told_apart(keys, in_first, in_second)
            ids.append(self._ids(runs, size))
            numbers += _overlap(runs, torch.ones_like(rarity))
            if size == 1:
                numbers += _overlap(runs, rarity)
                numbers += [
                    (rarity * part).amax(dim=1) for part in (runs.shared, runs.first, runs.second)
                ]
        numbers += _order(pieces, first, second)
        told = torch.stack(numbers, dim=1)
        return torch.cat(ids, dim=1), torch.cat([told, told * told], dim=1)

    def _ids(self, runs: _Runs, size: int) -> Tensor:
        bucket = (runs.keys + size * 7919) % self.buckets + 1
        none = torch.zeros_like(bucket)
        held = torch.where(runs.shared, bucket, none)
        held = torch.where(runs.first, bucket + self.buckets, held)
        return torch.where(runs.second, bucket + 2 * self.buckets, held)


def _before(values: Tensor) -> Tensor:
    """Every place gets its left neighbour's value [N, L], the first one 0."""
    return torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], dim=1)


def _across(first: Tensor, second: Tensor) -> Tensor:
    """Places of the first text against places of the second, bool [N, L, L]."""
    return first[:, :, None] & second[:, None, :]


def _told_apart(keys: Tensor, first: Tensor, second: Tensor) -> _Runs:
    equal = keys[:, :, None] == keys[:, None, :]
    place = torch.cumsum(torch.ones_like(keys[0]), dim=0)
    earlier = place[None, None, :] < place[None, :, None]
    again = (equal & earlier & (_across(first, first) | _across(second, second))).any(dim=2)
    both = (equal & (_across(first, second) | _across(second, first))).any(dim=2)
    first, second = first & ~again, second & ~again
    return _Runs(keys, first & both, first & ~both, second & ~both)


def _overlap(runs: _Runs, weight: Tensor) -> list[Tensor]:
    """Shares of what both hold in each text and in all, and what each holds alone."""
    shared, first, second = (
        (weight * part).sum(dim=1) for part in (runs.shared, runs.first, runs.second)
    )
    return [
        shared / (shared + first + 1e-3),
        shared / (shared + second + 1e-3),
        shared / (shared + first + second + 1e-3),
        torch.log1p(first),
        torch.log1p(second),
    ]


def _order(pieces: Tensor, first: Tensor, second: Tensor) -> list[Tensor]:
    """Lengths, the longest run that both hold, and whether both begin and end alike."""
    equal = (pieces[:, :, None] == pieces[:, None, :]) & _across(first, second)
    run, longest = equal, equal.any(dim=2).any(dim=1).to(torch.float32)
    for _ in range(1, _LONGEST_SHARED):
        run = functional.pad(run[:, :-1, :-1].to(torch.float32), (1, 0, 1, 0)) > 0
        run = run & equal
        longest = longest + run.any(dim=2).any(dim=1)
    sizes = [text.to(torch.float32).sum(dim=1) for text in (first, second)]
    logs = [torch.log1p(size) for size in sizes]
    ends = []
    for way in (1, -1):
        edge = [_outermost(text, way) for text in (first, second)]
        ends.append((equal & _across(edge[0], edge[1])).any(dim=2).any(dim=1).to(torch.float32))
    whole = [(longest >= size.clamp(max=_LONGEST_SHARED)).to(torch.float32) for size in sizes]
    shares = [longest / (size + 1e-3) for size in sizes]
    return [*logs, logs[0] - logs[1], *shares, torch.log1p(longest), *whole, *ends]


def _outermost(text: Tensor, way: int) -> Tensor:
    """The first place of a text (`way` 1) or its last (-1), bool [N, L]."""
    counted = torch.cumsum(text.to(torch.int64), dim=1)
    wanted = torch.ones_like(counted[:, :1]) if way == 1 else counted[:, -1:]
    return text & (counted == wanted)
