"""Fits one network: balanced draws, augmentation, mixup, weight average, early stopping.

Every epoch ends with a checkpoint that holds all that is needed to go on (weights, optimiser,
random states), so a run that was stopped continues with `resume`. The network that counts is the
exponential moving average of the weights with the best score on the held-out patients, seen both
as they are and under stress. Under torchrun every process takes its share of each batch
(training/imaging/launch.py).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from models.calibration import softmax
from models.imaging.preprocess import preprocess
from models.metrics import macro_auc
from training.imaging import launch, losses
from training.imaging.augment import Augmenter
from training.imaging.calibrate import fit_scaling
from training.imaging.config import ImagingConfig, OptimisationConfig
from training.imaging.data import LabelledImages, preprocess_all, working_copies
from training.imaging.net import SalientResNet
from training.imaging.transforms import MonaiAugmenter

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
_CONTEXT_UNKNOWN = 0.4  # share of draws whose context is blanked: it may be unknown in use


@dataclass
class FitState:
    """What a checkpoint keeps beside weights and optimiser."""

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)


def predict(
    net: nn.Module, inputs: Floats, context: Floats | None = None, batch_size: int = 128
) -> list[Floats]:
    """Logits [N, C] of every head for preprocessed inputs, in fp32."""
    device = next(net.parameters()).device
    net.eval()
    out: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            rows = slice(start, start + batch_size)
            batch = torch.from_numpy(inputs[rows]).to(device)
            beside = None if context is None else torch.from_numpy(context[rows]).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cpu"):
                out.append(tuple(h.float().cpu() for h in net(batch, beside).logits))
    return [torch.cat(parts).numpy() for parts in zip(*out, strict=True)]


class Fitter:
    """One network's training; `run` goes from the last checkpoint (or the start) to the end."""

    def __init__(
        self,
        config: ImagingConfig,
        train: LabelledImages,
        held_out: LabelledImages,
        folder: Path,
        member: int = 0,
        teachers: Sequence[SalientResNet] = (),
    ) -> None:
        self.seed = config.seed + member
        self.config, self.options, self.folder = config, config.optimisation, folder
        self.epochs = self.options.distil if teachers else self.options.epochs[member]
        torch.manual_seed(self.seed)
        self.device = launch.device()
        self.net = build_net(config).to(self.device)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.parallel = launch.parallel(self.net)
        self.teachers = [copy.deepcopy(t).to(self.device).requires_grad_(False) for t in teachers]
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.net, self.options.weight_decay), lr=self.options.learning_rate
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, _warmup_cosine(self.options, self.epochs)
        )
        self.images = working_copies(train.images, self.options.working_size)
        self.train, self.held_out = train, held_out
        self.views = {"as_is": preprocess_all(held_out.images, config.preprocessing)}
        for name in self.options.watched:
            self.views[name] = preprocess_all(held_out.images, config.preprocessing, name)
        self.state = FitState()

    def run(self, *, resume: bool, report: Callable[[str], None] = print) -> SalientResNet:
        """The averaged network of the best epoch, on the CPU."""
        if resume and self._checkpoint.is_file():
            self._load()
        with (
            Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
                disable=not launch.leads(),
            ) as progress,
            SummaryWriter(str(self.folder / "tensorboard")) as board,
        ):  # fmt: skip
            task = progress.add_task("training", total=self.epochs, completed=self.state.epoch)
            while self.state.epoch < self.epochs and not self._out_of_patience():
                loss = self._epoch()
                scores = self._score()
                for name, value in {"loss": loss, **scores}.items():
                    board.add_scalar(name, value, self.state.epoch)
                self._keep(loss, scores)
                report(" ".join(f"{k} {v:.4f}" for k, v in self.state.history[-1].items()))
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

    def _augmenter(self, seed: int) -> Augmenter | MonaiAugmenter:
        recipe = self.options.augmentation
        if isinstance(recipe, float | int):
            return Augmenter(seed, float(recipe))
        return MonaiAugmenter(seed, recipe)

    def _epoch(self) -> float:
        """One pass of draws; mean loss. Seeded by epoch, so a resumed run repeats it."""
        rng = np.random.default_rng([self.seed, self.state.epoch, launch.rank()])
        torch.manual_seed(self.seed * 1000 + self.state.epoch)
        augment = self._augmenter(int(rng.integers(2**31)))
        count = self.options.samples_per_epoch // launch.world()
        rows = drawn(self.train.first, count, self.options.balance, rng)
        self.net.train()
        found = []
        size = self.options.batch_size // launch.world()
        for start in range(0, len(rows) - size + 1, size):
            batch = rows[start : start + size]
            seen = augment(self.images[batch])
            spec = self.config.preprocessing
            inputs = torch.from_numpy(np.stack([preprocess(image, spec) for image in seen]))
            known = rng.random((len(batch), 1)) >= _CONTEXT_UNKNOWN
            context = torch.from_numpy(self.train.context[batch] * known.astype(np.float32))
            labels = torch.from_numpy(self.train.labels[batch])
            found.append(
                self._step(
                    inputs.to(self.device), context.to(self.device), labels.to(self.device), rng
                )
            )
        return float(np.mean(found))

    def _step(
        self, inputs: Tensor, context: Tensor, labels: Tensor, rng: np.random.Generator
    ) -> float:
        options = self.options
        targets = [
            losses.targets(labels[:, i], head, options.label_smoothing)
            for i, head in enumerate(self.config.heads)
        ]
        if rng.random() < options.mixup_probability:
            share = float(rng.beta(options.mixup_alpha, options.mixup_alpha))
            other = torch.from_numpy(rng.permutation(len(inputs))).to(self.device)
            inputs = share * inputs + (1 - share) * inputs[other]
            context = share * context + (1 - share) * context[other]
            targets = [share * t + (1 - share) * t[other] for t in targets]
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        enabled = options.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled):
            logits = self.parallel(inputs, context if self.config.context else None).logits
            wanted = losses.taught(self.teachers, inputs, context, self.config)
        loss = losses.total(logits, targets, wanted, self.config)
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
        """Log-loss of the first head after scaling over all views, negated: mean and worst view.

        Scaling first, because calibration comes later anyway: what counts is the ranking.
        """
        labels = self.held_out.first
        context = self.held_out.context if self.config.context else None
        by_view = {
            name: [h.astype(np.float64) for h in predict(self.average, inputs, context)]
            for name, inputs in self.views.items()
        }
        logits = {name: heads[0] for name, heads in by_view.items()}
        temperature, bias = fit_scaling(
            np.concatenate(list(logits.values())), np.tile(labels, len(logits))
        )
        found = {
            name: losses.log_loss((z + bias) / temperature, labels) for name, z in logits.items()
        }
        areas = {name: macro_auc(labels, softmax(z)) for name, z in logits.items()}
        answers = softmax((logits["as_is"] + bias) / temperature)
        worst = max(found.values())
        scores = {
            "score": -0.5 * (float(np.mean(list(found.values()))) + worst),
            "auc": areas["as_is"],
            "worst_auc": min(areas.values()),
            "worst_loss": worst,
            "accuracy": float(np.mean(answers.argmax(axis=1) == labels)),
        }
        for i, head in enumerate(self.config.heads[1:], start=1):
            other = self.held_out.labels[:, i]
            known = other >= 0
            right = by_view["as_is"][i].argmax(axis=1) == other
            scores[f"accuracy_{head.code}"] = float(np.mean(right[known]))
            if not head.research_only:
                z = by_view["as_is"][i][known]
                t, b = fit_scaling(z, other[known])
                scores["score"] -= head.loss_weight * losses.log_loss((z + b) / t, other[known])
        return scores

    def _keep(self, loss: float, scores: Mapping[str, float]) -> None:
        state = self.state
        state.history.append({"epoch": float(state.epoch), "loss": loss, **scores})
        better = scores["score"] > state.best_score
        if better:
            state.best_score, state.best_epoch = scores["score"], state.epoch
        state.epoch += 1
        if not launch.leads():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if better:
            torch.save(self.average.state_dict(), self._best)
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
        config.net,
        [len(head.labels) for head in config.heads],
        channels=config.preprocessing.channels,
        context=config.context_width,
    )


def drawn(labels: Labels, count: int, balance: float, rng: np.random.Generator) -> Labels:
    """`count` rows; a class of share s is drawn in proportion to s^(1 - balance), shuffled.

    Rows repeat only when their class runs out.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = (sizes / sizes.sum()) ** (1.0 - balance)
    needs = np.ceil(count * shares / shares.sum()).astype(int)
    out = []
    for c, need in zip(classes, needs, strict=True):
        members = np.flatnonzero(labels == c)
        rounds = -(-need // len(members))
        out.append(np.concatenate([rng.permutation(members) for _ in range(rounds)])[:need])
    return rng.permutation(np.concatenate(out))[:count].astype(np.int64)


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
