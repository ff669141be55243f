"""Fine-tunes the pretrained encoder with a head on top: the one training loop of the text models.

A task brings its network (encoder + head), its rows and a loss over a batch; this module brings
batches of like length, hidden pieces as noise, a warm-up and a linear way down, a slower rate for
the encoder than for the head, and the moving average of the weights that is kept in the end.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.progress import Progress, TaskID
from torch import Tensor, nn

from models.text.pieces import VOCABULARY, PieceReader
from training.text.encoder import Encoder, Shape
from training.text.pretrain import WEIGHTS

Ids = NDArray[np.int64]
Net = TypeVar("Net", bound=nn.Module)
Outputs = TypeVar("Outputs")
_KEPT = 5
"""Ids below this are special and never hidden."""


class FitConfig(BaseModel):
    """How one network is fitted; part of a task's configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    epochs: int
    batch: int
    learning_rate: float
    encoder_rate: float
    """Of the encoder's weights, relative to the head's."""
    weight_decay: float = 0.01
    hidden: float = 0.1
    """Share of the pieces that training replaces by MASK, against learning by heart."""
    average: float = 0.995
    """Decay of the moving average of the weights."""


class TextModelConfig(BaseModel):
    """What every model that starts from the encoder is told; each adds its own.

    `encoder` is the folder that `fenzhen train encoder` wrote, `longest` the pieces read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: dict[str, str]
    seed: int
    threads: int
    encoder: str
    longest: int
    dropout: float


@dataclass(frozen=True)
class Pretrained:
    """A folder that `pretrain` wrote."""

    folder: Path

    def reader(self) -> PieceReader:
        """The pieces that the encoder was trained on."""
        return PieceReader(self.folder / VOCABULARY)

    def shape(self) -> Shape:
        """The encoder's sizes."""
        return Shape(**torch.load(self.folder / WEIGHTS, weights_only=True)["shape"])

    def encoder(self, dropout: float = 0.1, pairs: int | None = None) -> Encoder:
        """A fresh copy with the pretrained weights.

        `pairs`: buckets of piece pairs where fewer do, a divisor of the pretrained number; what
        falls into one then is averaged. Raises ValueError for another number.
        """
        stored = torch.load(self.folder / WEIGHTS, weights_only=True)
        shape, prefix = Shape(**stored["shape"]), "encoder."
        weights = {
            k.removeprefix(prefix): v for k, v in stored["net"].items() if k.startswith(prefix)
        }
        if pairs is not None:
            if shape.pairs % pairs:
                raise ValueError(f"{pairs} is no divisor of {shape.pairs} pairs")
            shape = dataclasses.replace(shape, pairs=pairs)
            weights["pair.weight"] = weights["pair.weight"].view(-1, pairs, shape.width).mean(dim=0)
        encoder = Encoder(shape, dropout)
        encoder.load_state_dict(weights)
        return encoder


def padded(rows: Sequence[Ids]) -> Tensor:
    """Rows of ids as one tensor [N, L], padded with 0.

    L is a multiple of 16: matrix products of a new size are compiled anew, so there are few.
    """
    longest = -(-max(len(row) for row in rows) // 16) * 16
    return torch.from_numpy(np.stack([np.pad(row, (0, longest - len(row))) for row in rows]))


def batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Rows in random order, neighbours of like length: little padding, still mixed."""
    jitter = np.asarray(lengths) * rng.uniform(0.8, 1.25, len(lengths))
    order = np.argsort(jitter)
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(parts)
    return parts


def _hide(ids: Tensor, share: float, mask: int) -> Tensor:
    chosen = (torch.rand(ids.shape) < share) & (ids >= _KEPT)
    return torch.where(chosen, mask, ids)


def fit(
    net: Net,
    encoder: Encoder,
    rows: Sequence[Ids],
    loss: Callable[[Outputs, NDArray[np.intp]], Tensor],
    config: FitConfig,
    mask: int,
    seed: int,
    progress: tuple[Progress, TaskID] | None = None,
) -> Net:
    """Train `net` in place and return its averaged copy.

    `loss(outputs, numbers)`: what net(ids) gave for the rows of these numbers, to a scalar; the
    outputs may be bfloat16.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device).train()
    inner = {id(p) for p in encoder.parameters()}
    groups = [
        {"params": [p for p in net.parameters() if id(p) in inner], "scale": config.encoder_rate},
        {"params": [p for p in net.parameters() if id(p) not in inner], "scale": 1.0},
    ]
    solver = torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    lengths = [len(row) for row in rows]
    steps = config.epochs * -(-len(rows) // config.batch)
    slow = copy.deepcopy(net)
    step = 0
    for _ in range(config.epochs):
        for numbers in batches(lengths, config.batch, rng):
            pace = min(1.0, (step + 1) / (0.1 * steps)) * (1 - step / steps)
            for group in solver.param_groups:
                group["lr"] = config.learning_rate * group["scale"] * pace
            ids = _hide(padded([rows[i] for i in numbers]), config.hidden, mask).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                outputs = net(ids)
            value = loss(outputs, numbers)
            solver.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            solver.step()
            step += 1
            _average(slow, net, min(config.average, (1 + step) / (10 + step)))
            if progress is not None:
                progress[0].advance(progress[1], 1 / steps)
    return slow.to("cpu").eval()


@torch.no_grad()
def _average(slow: nn.Module, net: nn.Module, decay: float) -> None:
    for kept, new in zip(slow.parameters(), net.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


@torch.inference_mode()
def outputs_of(
    net: nn.Module, rows: Sequence[Ids], size: int = 64
) -> list[tuple[NDArray[np.float32], ...]]:
    """The network's outputs of every row, in order, in fp32; outputs per piece keep padding."""
    found: list[tuple[NDArray[np.float32], ...]] = [()] * len(rows)
    order = np.argsort([len(row) for row in rows], kind="stable")
    for begin in range(0, len(order), size):
        numbers = order[begin : begin + size]
        outputs = net(padded([rows[i] for i in numbers]))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        for place, number in enumerate(numbers):
            found[number] = tuple(output[place].numpy() for output in several)
    return found
