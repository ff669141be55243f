"""Fits one network: balanced draws, augmentation, mixup, weight average, early stopping.

Every epoch ends with a checkpoint that holds all that is needed to go on (weights, optimiser,
random states), so a run that was stopped continues with `resume`. The network that counts is the
exponential moving average of the weights with the best score on the held-out patients, seen both
as they are and under stress.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional

from models.imaging.preprocess import preprocess
from models.metrics import auc
from training.imaging.augment import Augmenter
from training.imaging.calibrate import fit_platt
from training.imaging.config import ImagingConfig, OptimisationConfig
from training.imaging.data import LabelledImages, preprocess_all
from training.imaging.net import SalientResNet

Floats = npt.NDArray[np.float32]
WATCHED = ("exposure_down", "contrast_down", "crop", "rotate_left", "blur", "portable")


@dataclass
class FitState:
    """What a checkpoint keeps beside weights and optimiser."""

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)


def device_of_choice() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def predict(net: nn.Module, inputs: Floats, batch_size: int = 128) -> Floats:
    """Logits [N, C] of preprocessed inputs, in fp32."""
    device = next(net.parameters()).device
    net.eval()
    out = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            batch = torch.from_numpy(inputs[start : start + batch_size]).to(device)
            out.append(net(batch).logits.float().cpu().numpy())
    logits: Floats = np.concatenate(out)
    return logits


class Fitter:
    """One network's training; `run` goes from the last checkpoint (or the start) to the end."""

    def __init__(
        self,
        config: ImagingConfig,
        train: LabelledImages,
        held_out: LabelledImages,
        folder: Path,
        member: int = 0,
    ) -> None:
        self.seed = config.seed + member
        self.epochs = config.optimisation.epochs[member]
        torch.manual_seed(self.seed)
        self.config, self.options, self.folder = config, config.optimisation, folder
        self.device = device_of_choice()
        self.net = build_net(config).to(self.device)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.net, self.options.weight_decay), lr=self.options.learning_rate
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, _warmup_cosine(self.options, self.epochs)
        )
        self.images = _shrink(train.images, self.options.working_size)
        self.labels = train.labels
        self.held_out = held_out
        self.views = {"as_is": preprocess_all(held_out.images, config.preprocessing)}
        for name in WATCHED:
            self.views[name] = preprocess_all(held_out.images, config.preprocessing, name)
        self.state = FitState()

    def run(self, *, resume: bool, report: Callable[[str], None] = print) -> SalientResNet:
        """The averaged network of the best epoch, on the CPU."""
        if resume and self._checkpoint.is_file():
            self._load()
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
        ) as progress:
            task = progress.add_task("training", total=self.epochs, completed=self.state.epoch)
            while self.state.epoch < self.epochs and not self._out_of_patience():
                loss = self._epoch()
                scores = self._score()
                self._keep(loss, scores)
                line = " ".join(f"{k} {v:.4f}" for k, v in self.state.history[-1].items())
                report(line)
                progress.update(
                    task, advance=1, description=f"held-out loss {-scores['score']:.4f}"
                )
        best = build_net(self.config)
        best.load_state_dict(torch.load(self._best, map_location="cpu", weights_only=True))
        return best.eval()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def _best(self) -> Path:
        return self.folder / "best.pt"

    def _out_of_patience(self) -> bool:
        return self.state.epoch - 1 - self.state.best_epoch >= self.options.patience > 0

    def _epoch(self) -> float:
        """One pass of balanced draws; mean loss. Seeded by epoch, so a resumed run repeats it."""
        rng = np.random.default_rng([self.seed, self.state.epoch])
        torch.manual_seed(self.seed * 1000 + self.state.epoch)
        augment = Augmenter(int(rng.integers(2**31)), self.options.augmentation)
        rows = balanced_draws(self.labels, self.options.samples_per_epoch, rng)
        self.net.train()
        losses = []
        for start in range(0, len(rows) - self.options.batch_size + 1, self.options.batch_size):
            batch = rows[start : start + self.options.batch_size]
            seen = augment(self.images[batch])
            spec = self.config.preprocessing
            inputs = torch.from_numpy(np.stack([preprocess(image, spec) for image in seen]))
            labels = torch.from_numpy(self.labels[batch])
            losses.append(self._step(inputs.to(self.device), labels.to(self.device), rng))
        return float(np.mean(losses))

    def _step(self, inputs: Tensor, labels: Tensor, rng: np.random.Generator) -> float:
        options = self.options
        targets = functional.one_hot(labels, len(self.config.labels)).float()
        targets = targets * (1 - options.label_smoothing) + options.label_smoothing / 2
        if rng.random() < options.mixup_probability:
            share = float(rng.beta(options.mixup_alpha, options.mixup_alpha))
            other = torch.from_numpy(rng.permutation(len(inputs))).to(self.device)
            inputs = share * inputs + (1 - share) * inputs[other]
            targets = share * targets + (1 - share) * targets[other]
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        enabled = options.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled):
            logits = self.net(inputs).logits
        loss = functional.cross_entropy(logits.float(), targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.scheduler.step()
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        steps = self.scheduler.last_epoch
        decay = min(self.options.ema_decay, (1 + steps) / (10 + steps))
        for mean, value in zip(
            self.average.state_dict().values(), self.net.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def _score(self) -> dict[str, float]:
        """Log-loss after Platt scaling over all views, negated: mean of all and worst view.

        Scaling first, because the threshold is set later anyway: what counts is the ranking.
        """
        positive = self.held_out.labels == self.config.positive
        margins = {}
        for name, inputs in self.views.items():
            logits = predict(self.average, inputs).astype(np.float64)
            margins[name] = logits[:, self.config.positive] - logits[:, 0]
        pooled = np.concatenate(list(margins.values()))
        temperature, bias = fit_platt(pooled, np.tile(positive, len(margins)))
        losses = {}
        for name, margin in margins.items():
            log_odds = (margin + bias) / temperature
            losses[name] = float(np.logaddexp(0.0, np.where(positive, -log_odds, log_odds)).mean())
        worst = max(losses.values())
        areas = {name: auc(positive, margin) for name, margin in margins.items()}
        return {
            "score": -0.5 * (float(np.mean(list(losses.values()))) + worst),
            "as_is": areas["as_is"],
            "worst_auc": min(areas.values()),
            "worst_loss": worst,
        }

    def _keep(self, loss: float, scores: Mapping[str, float]) -> None:
        state = self.state
        state.history.append({"epoch": float(state.epoch), "loss": loss, **scores})
        self.folder.mkdir(parents=True, exist_ok=True)
        if scores["score"] > state.best_score:
            state.best_score, state.best_epoch = scores["score"], state.epoch
            torch.save(self.average.state_dict(), self._best)
        state.epoch += 1
        torch.save(
            {
                "net": self.net.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "state": vars(state),
            },
            self._checkpoint,
        )

    def _load(self) -> None:
        saved = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.state = FitState(**saved["state"])


def build_net(config: ImagingConfig) -> SalientResNet:
    """A network with fresh weights from torch's current random state."""
    return SalientResNet(
        config.net.widths,
        config.net.blocks,
        classes=len(config.labels),
        positive=config.positive,
        dropout=config.net.dropout,
        mixstyle=config.net.mixstyle,
    )


def balanced_draws(
    labels: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """`count` rows, as many of each class, shuffled; rows repeat only when a class runs out."""
    classes = np.unique(labels)
    drawn = []
    for c in classes:
        members = np.flatnonzero(labels == c)
        need = -(-count // len(classes))
        rounds = -(-need // len(members))
        drawn.append(np.concatenate([rng.permutation(members) for _ in range(rounds)])[:need])
    return rng.permutation(np.concatenate(drawn))[:count].astype(np.int64)


def _shrink(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    resized = [Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR) for i in images]
    return np.stack([np.asarray(image, dtype=np.uint8) for image in resized])


def _parameter_groups(net: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay on matrices and kernels alone, not on biases and norms."""
    heavy = [p for p in net.parameters() if p.ndim > 1]
    light = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]


def _warmup_cosine(options: OptimisationConfig, epochs: int) -> Callable[[int], float]:
    total = max(1, epochs * (options.samples_per_epoch // options.batch_size))
    warm = max(1, int(total * options.warmup_fraction))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    return factor
