"""Fits one network: balanced draws, augmentation, mixup, weight average, early stopping.

Every epoch ends with a checkpoint that holds all that is needed to go on (weights, optimiser,
epoch: random streams start anew with each), so a run that was stopped continues with `resume`. The
network that counts is the exponential moving average of the weights with the best score on the
held-out patients, seen both as they are and under stress. With folds, where the held-out patients
are those that the network is reported on, they choose nothing: the average of the last epoch
counts. Under torchrun every process takes its share of each batch (training/imaging/launch.py).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from training.imaging import batches, checkpoint, launch, losses, scoring
from training.imaging.config import ImagingConfig, OptimisationConfig
from training.imaging.data import LabelledImages, preprocess_all, working_copies
from training.imaging.errors import Diverged
from training.imaging.net import SalientNet

Floats = npt.NDArray[np.float32]
_RANK_STRIDE = 1_000_000_007  # keeps the seeds of processes apart from those of epochs


@dataclass
class FitState:
    """What a checkpoint keeps beside weights and optimiser."""

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)


class Fitter:
    """One network's training; `run` goes from the last checkpoint (or the start) to the end.

    Raises CannotTrain for settings that several processes or this GPU cannot follow, and for a
    checkpoint of another run; Diverged when a loss, gradient or score is not finite.
    """

    def __init__(
        self,
        config: ImagingConfig,
        train: LabelledImages,
        held_out: LabelledImages,
        folder: Path,
        member: int = 0,
        teachers: Sequence[SalientNet] = (),
    ) -> None:
        self.seed = config.seed + member
        self.config, self.options, self.folder = config, config.optimisation, folder
        launch.check_shares(self.options.samples_per_epoch, self.options.batch_size)
        launch.check_precision(self.options.precision)
        self.epochs = self.options.distil if teachers else self.options.epochs[member]
        self.run_of = checkpoint.Run.of(
            config, member=member, epochs=self.epochs, train=train, held_out=held_out,
            teachers=teachers,
        )  # fmt: skip
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
        self.views = self._views() if launch.leads() else {}
        self.state = FitState()

    def _views(self) -> dict[str, Floats]:
        spec, images = self.config.preprocessing, self.held_out.images
        return {"as_is": preprocess_all(images, spec)} | {
            name: preprocess_all(images, spec, name) for name in self.options.watched
        }

    def run(self, *, resume: bool, report: Callable[[str], None] = print) -> SalientNet:
        """The averaged network of the best epoch, of the last one with folds; on the CPU."""
        if resume and self._checkpoint.is_file():
            self._load(report)
        with ExitStack() as stack:
            board = progress = None
            if launch.leads():
                board = stack.enter_context(
                    SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.state.epoch)
                )
                progress = stack.enter_context(
                    Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
                )
                progress.add_task("training", total=self.epochs, completed=self.state.epoch)
            while self.state.epoch < self.epochs and not self._out_of_patience():
                loss = self._epoch()
                # What the leader finds is what all processes choose and stop by.
                scores = launch.from_leader(self._score() if launch.leads() else None)
                self._keep(loss, scores)
                if board is None or progress is None:
                    continue
                for name, value in {"loss": loss, **scores}.items():
                    board.add_scalar(name, value, self.state.epoch - 1)
                report(" ".join(f"{k} {v:.4f}" for k, v in self.state.history[-1].items()))
                told = f"held-out loss {-scores['score']:.4f}"
                progress.update(progress.task_ids[0], advance=1, description=told)
        if self._takes_last and launch.leads():
            # Again, because a checkpoint of an older version came with the best epoch's.
            checkpoint.save(self.average.state_dict(), self._best)
        launch.meet()
        best = build_net(self.config)
        best.load_state_dict(torch.load(self._best, map_location="cpu", weights_only=True))
        return best.eval()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def _best(self) -> Path:
        return self.folder / "best.pt"

    @property
    def _takes_last(self) -> bool:
        """Whether the held-out images are reported on later and so may choose nothing."""
        return bool(self.config.data.folds)

    def _out_of_patience(self) -> bool:
        waited = self.state.epoch - 1 - self.state.best_epoch
        return not self._takes_last and waited >= self.options.patience > 0

    def _epoch(self) -> float:
        """One pass of draws; mean loss. Seeded by epoch, so a resumed run repeats it."""
        epoch = self.state.epoch
        torch.manual_seed(self.seed * 1000 + epoch + _RANK_STRIDE * launch.rank())
        rng = batches.mixing(self.seed, epoch)
        rows = batches.drawn_rows(self.train.first, self.config, self.seed, epoch)
        made = batches.Epoch(
            self.images, self.train.labels, self.train.context, rows, self.config, self.seed, epoch
        )
        self.net.train()
        found = []
        for batch in batches.loader(made):
            inputs, context, labels = (part.to(self.device, non_blocking=True) for part in batch)
            found.append(self._step(inputs, context, labels, rng))
        launch.take_from_leader(self.net)
        launch.take_from_leader(self.average)
        return launch.mean(float(np.mean(found)))

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
        with scoring.mixed(self.device, options.precision):
            logits = self.parallel(inputs, context if self.config.context else None).logits
            wanted = losses.taught(self.teachers, inputs, context, self.config)
        loss = losses.total(logits, targets, wanted, self.config)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        length = nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.scheduler.step()
        self._update_average()
        return self._finite("loss", float(loss.detach()), gradient=float(length))

    def _finite(self, name: str, value: float, gradient: float = 0.0) -> float:
        """The value itself; raises Diverged unless it and the gradient's length are finite."""
        if math.isfinite(value) and math.isfinite(gradient):
            return value
        raise Diverged(
            f"epoch {self.state.epoch}: {name} {value}, length of the gradient {gradient}; the"
            " last checkpoint is as it was. Lower optimisation.learning_rate or train in fp32."
        )

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
        found = scoring.score(self.average, self.views, self.held_out, self.config)
        self._finite("score", found["score"])
        return found

    def _keep(self, loss: float, scores: Mapping[str, float]) -> None:
        state = self.state
        state.history.append({"epoch": float(state.epoch), "loss": loss, **scores})
        better = self._takes_last or scores["score"] > state.best_score
        if better:
            state.best_score, state.best_epoch = scores["score"], state.epoch
        state.epoch += 1
        if not launch.leads():
            return
        if better:
            checkpoint.save(self.average.state_dict(), self._best)
        checkpoint.save(
            {
                "net": self.net.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "state": {
                    "epoch": state.epoch,
                    "best_score": state.best_score,
                    "best_epoch": state.best_epoch,
                    "history": state.history,
                },
                "run": self.run_of.record,
            },
            self._checkpoint,
        )

    def _load(self, report: Callable[[str], None]) -> None:
        saved = self.run_of.load(self._checkpoint, self.device, report)
        self.net.load_state_dict(saved["net"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.state = FitState(**saved["state"])


def build_net(config: ImagingConfig) -> SalientNet:
    """A network with fresh weights from torch's current random state."""
    return SalientNet(
        config.net,
        [len(head.labels) for head in config.heads],
        config.preprocessing,
        context=config.context_width,
    )


def _parameter_groups(net: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay on matrices and kernels alone, not on biases and norms."""
    learned = [p for p in net.parameters() if p.requires_grad]
    heavy = [p for p in learned if p.ndim > 1]
    light = [p for p in learned if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]


def _warmup_cosine(options: OptimisationConfig, epochs: int) -> Callable[[int], float]:
    total = max(1, epochs * (options.samples_per_epoch // options.batch_size))
    warm = max(1, int(total * options.warmup_fraction))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    return factor
