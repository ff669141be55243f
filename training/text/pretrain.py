"""Pretrains the bilingual text encoder by masked pieces (Devlin et al. 2019).

    fenzhen train encoder --out OUT [--resume]

Resumable: every `save_every` steps the state goes to OUT/state.pt, written aside and renamed.
Uses a GPU where there is one; on a CPU, bfloat16 matrix products where the processor has them.
The outcome is a starting point for the text models, not a hosted model.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor, nn

from knowledge_base.yaml_files import read_yaml
from models.text.pieces import BREAK, MASK, SPECIAL, START, VOCABULARY
from training.text.corpus import Stream, learn_pieces, stream, texts
from training.text.encoder import Encoder, Shape

STATE = "state.pt"
WEIGHTS = "encoder.pt"
_SMOKE_TEXTS = 60
_SMOKE_STEPS = 3


class PretrainConfig(BaseModel):
    """`training/configs/encoder.yaml`; each field's comment there says why."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int
    threads: int
    vocabulary: int
    pairs: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    longest: int
    sources: dict[str, float]
    window: int
    batch: int
    steps: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    masked: float
    save_every: int
    start_from: str | None = None


class MaskedPieces(nn.Module):
    """The encoder with its output layer, tied to the piece table."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.shape.width
        self.encoder = encoder
        self.turned = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(encoder.shape.pieces))

    def forward(self, ids: Tensor, places: Tensor) -> Tensor:
        """Scores [M, pieces] at the M flat `places` of ids [N, L]."""
        states = self.turned(self.encoder(ids).flatten(0, 1)[places])
        return torch.as_tensor(states @ self.encoder.piece.weight.T + self.bias)


@dataclasses.dataclass(frozen=True)
class Special:
    """Ids with a meaning of their own."""

    start: int
    stop: int
    mask: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Special:
        """The ids in one vocabulary."""
        start, stop, mask = (tokenizer.token_to_id(name) for name in (START, BREAK, MASK))
        if start is None or stop is None or mask is None:
            raise ValueError("the vocabulary lacks a special piece")
        return cls(start, stop, mask)


def windows(
    streams: dict[str, Stream], shares: dict[str, float], config: PretrainConfig,
    special: Special, rng: np.random.Generator,
) -> Tensor:  # fmt: skip
    """A batch of ids [batch, window], START first, sources drawn by their shares."""
    names = [name for name in shares if name in streams]
    weights = np.array([shares[name] for name in names])
    chosen = rng.choice(len(names), size=config.batch, p=weights / weights.sum())
    rows = np.full((config.batch, config.window), special.start, dtype=np.int64)
    for row, number in zip(rows, chosen, strict=True):
        text = streams[names[number]]
        begin = rng.integers(0, max(1, len(text) - config.window))
        part = text[begin : begin + config.window - 1]
        row[1 : len(part) + 1] = part
    return torch.from_numpy(rows)


def hide(ids: Tensor, share: float, special: Special, pieces: int) -> tuple[Tensor, Tensor]:
    """What the encoder sees [N, L], and the flat places that it must guess.

    Of the places 80 % are masked, 10 % random, 10 % kept (BERT's shares); half come in
    neighbouring pairs, so that a character is not always given away by the word around it. Their
    number never changes: matrix products of a new size are compiled anew on every step.
    """
    fixed = (ids == special.start) | (ids == special.stop) | (ids == 0)
    luck = torch.rand(ids.shape)
    paired = torch.rand(ids.shape) < 0.5
    luck = torch.where(paired, torch.minimum(luck, torch.roll(luck, 1, dims=1)), luck)
    places = luck.masked_fill(fixed, 2.0).flatten().argsort()[: int(share * ids.numel())]
    hidden = torch.zeros(ids.numel(), dtype=torch.bool)
    hidden[places] = True
    hidden = hidden.view(ids.shape) & ~fixed
    kind = torch.rand(ids.shape)
    seen = torch.where(hidden & (kind < 0.8), special.mask, ids)
    noise = torch.randint(len(SPECIAL), pieces, ids.shape)
    return torch.where(hidden & (kind >= 0.9), noise, seen), places


def _rate(step: int, config: PretrainConfig, steps: int) -> float:
    warm = max(1, int(config.warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _prepare(
    config: PretrainConfig, data_dir: Path, out_dir: Path, start: Path | None, limit: int | None
) -> tuple[Tokenizer, dict[str, Stream]]:
    vocabulary, cache = out_dir / VOCABULARY, out_dir / "streams.npz"
    if not vocabulary.exists():
        if start is not None:
            vocabulary.write_bytes((start / VOCABULARY).read_bytes())
        else:
            lines = (line for name in config.sources for line in texts(name, data_dir, limit))
            learn_pieces(lines, config.vocabulary).save(str(vocabulary), pretty=False)
    tokenizer = Tokenizer.from_file(str(vocabulary))
    if not cache.exists():
        parts = {name: stream(tokenizer, texts(name, data_dir, limit)) for name in config.sources}
        np.savez(cache, allow_pickle=False, **{n: p.astype(np.int32) for n, p in parts.items()})
    with np.load(cache) as stored:
        return tokenizer, {name: stored[name].astype(np.int64) for name in stored.files}


def pretrain(
    config_path: Path, data_dir: Path, out_dir: Path, *, resume: bool = False, smoke: bool = False
) -> dict[str, float]:
    """Train and write `encoder.pt` and `pieces.json` into `out_dir`; returns the last loss.

    `resume` goes on from `state.pt`. `smoke`: a few texts and steps, to show that all parts fit.
    """
    config = PretrainConfig.model_validate(read_yaml(config_path))
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    start = None if config.start_from is None else Path(config.start_from)
    limit = _SMOKE_TEXTS if smoke else None
    tokenizer, streams = _prepare(config, data_dir, out_dir, start, limit)
    steps = _SMOKE_STEPS if smoke else config.steps
    shape = Shape(
        tokenizer.get_vocab_size(), config.pairs, config.width, config.layers, config.heads,
        config.feed_forward, config.longest,
    )  # fmt: skip
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = MaskedPieces(Encoder(shape)).to(device)
    if start is not None:
        net.load_state_dict(torch.load(start / WEIGHTS, weights_only=True)["net"])
    solver = torch.optim.AdamW(
        net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay,
        betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    state_file, begun = out_dir / STATE, 0
    if resume and state_file.exists():
        state = torch.load(state_file, weights_only=True)
        net.load_state_dict(state["net"])
        solver.load_state_dict(state["solver"])
        begun = state["step"]
    special = Special.of(tokenizer)
    smooth = math.nan
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("encoder", total=steps, completed=begun)
        for step in range(begun, steps):
            rng = np.random.default_rng((config.seed, step))
            ids = windows(streams, config.sources, config, special, rng)
            seen, places = hide(ids, config.masked, special, shape.pieces)
            for group in solver.param_groups:
                group["lr"] = config.learning_rate * _rate(step, config, steps)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                scores = net(seen.to(device), places.to(device))
            loss = nn.functional.cross_entropy(scores.float(), ids.flatten()[places].to(device))
            solver.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            solver.step()
            value = float(loss.detach())
            smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
            progress.update(bar, advance=1, description=f"encoder, loss {smooth:.3f}")
            if (step + 1) % config.save_every == 0 or step + 1 == steps:
                state = {"net": net.state_dict(), "solver": solver.state_dict(), "step": step + 1}
                _save(state, state_file)
                print(f"step {step + 1} of {steps}: loss {smooth:.4f}", flush=True)
    _save({"shape": dataclasses.asdict(shape), "net": net.state_dict()}, out_dir / WEIGHTS)
    return {"loss": smooth}


def _save(state: dict[str, object], path: Path) -> None:
    """Written aside and renamed: a kill in the middle leaves the older file whole."""
    aside = path.with_suffix(".new")
    torch.save(state, aside)
    aside.replace(path)
