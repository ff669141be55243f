"""Two networks of common size with random weights, as torch programs: to measure a GPU with.

Pictures go through a residual network with the layers of ResNet-18 (He et al. 2016), texts through
a transformer encoder of six layers of 512 (Vaswani et al. 2017). What they say means nothing; what
they cost is what such networks cost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backends import Tensor as Array
from models.backends.torch_program import PROGRAM, write_program
from models.manifest import Manifest, TensorSpec
from models.repository import ModelEntry, sha256_of

Kind = Literal["images", "texts"]
CLASSES = 8
PIECES = 8_000


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.around: nn.Module = nn.Identity()
        if before != width or stride > 1:
            self.around = nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, before, h, w] to [N, width, h / stride, w / stride]."""
        found = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(found)) + self.around(x))


class Pictures(nn.Module):
    """image float32 [N, 3, S, S] to scores [N, CLASSES]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, 2, 3)
        widths = [width * 2**stage for stage in range(4)]
        before = [width, *widths]
        self.blocks = nn.Sequential()
        for stage, own in enumerate(widths):
            self.blocks.append(Block(before[stage], own, 1 if stage == 0 else 2))
            self.blocks.append(Block(own, own, 1))
        self.head = nn.Linear(widths[-1], CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        x = functional.max_pool2d(functional.relu(self.stem(image)), 3, 2, 1)
        return torch.as_tensor(self.head(self.blocks(x).mean((2, 3))))


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each behind a norm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, states: Tensor, unseen: Tensor) -> Tensor:
        """states [N, L, W]; `unseen` [N, 1, 1, L] is added to scores."""
        rows, length, width = states.shape
        parts = self.attention(self.norms[0](states)).chunk(3, dim=-1)
        split = (rows, length, self.heads, width // self.heads)
        asked, offered, given = (part.view(split).transpose(1, 2) for part in parts)
        scores = asked @ offered.transpose(2, 3) * (width // self.heads) ** -0.5 + unseen
        seen = (torch.softmax(scores, dim=-1) @ given).transpose(1, 2)
        states = states + self.mixed(seen.reshape(rows, length, width))
        return torch.as_tensor(states + self.feed(self.norms[1](states)))


class Texts(nn.Module):
    """pieces int64 [N, L], 0 pads, to scores [N, CLASSES]."""

    def __init__(self, width: int, layers: int, longest: int) -> None:
        super().__init__()
        self.piece, self.place = nn.Embedding(PIECES, width), nn.Embedding(longest, width)
        self.layers = nn.ModuleList(EncoderLayer(width, 8) for _ in range(layers))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, pieces: Tensor) -> Tensor:
        """See the class."""
        places = torch.cumsum(torch.ones_like(pieces[:1]), dim=1) - 1
        states = self.piece(pieces) + self.place(places)
        unseen = (pieces == 0).to(states.dtype)[:, None, None, :] * -1e4
        for layer in self.layers:
            states = layer(states, unseen)
        real = (pieces != 0).to(states.dtype)[:, :, None]
        return torch.as_tensor(self.head((states * real).sum(1) / real.sum(1)))


def make(kind: Kind, root: Path, *, small: bool) -> ModelEntry:
    """A version below `root` with such a network's program, and nothing else.

    `small`: sizes that a CPU computes in milliseconds. Open it with `TorchBackend`: it was
    calibrated for nothing, so `open_backend` would ask for what nobody measured.
    """
    torch.manual_seed(0)
    folder = root / kind / "1"
    folder.mkdir(parents=True)
    net: nn.Module
    buckets: list[int] = []
    if kind == "images":
        size = 32 if small else 224
        net, shape, dtype = Pictures(8 if small else 64), [-1, 3, size, size], "float32"
        example = {"image": torch.zeros(2, 3, size, size)}
    else:
        longest = 32 if small else 128
        net = Texts(64 if small else 512, 2 if small else 6, longest)
        shape, dtype, buckets = [-1, -1], "int64", [16, longest]
        example = {"pieces": torch.full((2, 5), 3)}
    dynamic = [axis for axis, length in enumerate(shape) if length < 0]
    write_program(net.eval(), example, ["scores"], folder / PROGRAM, dynamic=dynamic)
    [name] = example
    manifest = Manifest(
        name=kind,
        version=1,
        task="synthetic",
        title={"zh": "吞吐量测试", "en": "Throughput test"},
        inputs=[TensorSpec.model_validate({"name": name, "dtype": dtype, "shape": shape})],
        outputs=[TensorSpec(name="scores", dtype="float32", shape=[-1, CLASSES])],
        backend="torch",
        length_buckets=buckets,
        training_sets=[],
        files={PROGRAM: sha256_of(folder / PROGRAM)},
    )
    return ModelEntry(manifest, folder)


def batch_of(entry: ModelEntry, rows: int) -> dict[str, Array]:
    """A full batch: noise, or texts of the largest bucket."""
    rng, [spec] = np.random.default_rng(0), entry.manifest.inputs
    if spec.dtype == "int64":
        return {spec.name: rng.integers(1, PIECES, (rows, entry.manifest.length_buckets[-1]))}
    return {spec.name: rng.normal(size=(rows, *spec.shape[1:])).astype(np.float32)}
