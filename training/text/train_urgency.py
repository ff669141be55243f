"""Trains the learned urgency and writes its folder of the model repository.

    fenzhen train urgency --out OUT

Cumulative log-odds of the five dispositions and of a crisis from one encoder. Calibration and
thresholds come from held-out folds; the thresholds are set by the share of real complaints that
would be raised, never by the test messages (`eval/cases/messages.jsonl`), which another hand wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from knowledge_base.yaml_files import read_yaml
from models.backends.onnx import OnnxBackend
from models.manifest import Manifest, Metric, TensorSpec, TrainingSet
from models.metrics import wilson_interval
from models.text.pieces import VOCABULARY, head_and_tail
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.corpus import PRETRAINED_ON
from training.text.encoder import Encoder, mean_and_maximum
from training.text.finetune import FitConfig, Pretrained, TextModelConfig, fit, outputs_of
from training.text.readers import count, training_set
from training.text.stored import stored, unfolded
from training.text.urgency_data import (
    Message,
    RuleVerdict,
    consults,
    own_messages,
    practice_cases,
    wordings,
)
from training.torch_program import add_program

OUTPUTS = 5
_LEVELS = 4
_EMERGENCY, _URGENT, _CRISIS = 1, 2, 4
"""Columns: at most 2, at most 3, crisis."""
_ROUTINE = 4
_SMOKE = 30
Floats = NDArray[np.float32]
_SECTIONS = {
    "What it is for": (
        "Raising what the red-flag rules say where a person tells of an emergency or a crisis in "
        "words that the rules do not know. Chinese and English."
    ),
    "What it is not for": (
        "It never lowers an answer, states no diagnosis, and its probability is no reason by "
        "itself: the answer says that the model raised it. It has not seen vital signs."
    ),
    "How it was measured": (
        "Own messages by cross-validation over rows; real complaints (which the rules call "
        "routine) held out in the same folds: their share above each threshold is set, not found. "
        "The independent messages of eval/cases were written by another hand and never learned "
        "from; docs/results.md has the figures of rules and model together."
    ),
    "Known weaknesses": (
        "The levels of the messages are one writer's judgement, read by no clinician. Written "
        "messages are tidier than real ones. Real English complaints are not among the data."
    ),
}


class UrgencyConfig(TextModelConfig):
    """`training/configs/urgency.yaml`."""

    folds: int
    consults: int
    weights: dict[str, float]
    alarms: dict[str, float]
    strong: float
    fit: FitConfig


class UrgencyNet(nn.Module):
    """ids int64 [N, L] to log-odds float32 [N, 5], scaled and shifted by the calibration."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.shape.width
        self.encoder = encoder
        self.dropout = nn.Dropout(0.25)
        self.head = nn.Linear(2 * width, OUTPUTS)
        self.register_buffer("scale", torch.ones(OUTPUTS))
        self.register_buffer("shift", torch.zeros(OUTPUTS))

    def forward(self, ids: Tensor) -> Tensor:
        """See the class."""
        states = self.encoder(ids)
        whole = mean_and_maximum(states, ids)
        odds = self.head(self.dropout(whole))
        return torch.as_tensor(odds * self.get_buffer("scale") + self.get_buffer("shift"))


def targets(rows: Sequence[Message], weights: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Targets and weights [N, 5]; what a row does not know weighs nothing."""
    truth = np.zeros((len(rows), OUTPUTS), dtype=np.float32)
    weight = np.zeros_like(truth)
    for number, row in enumerate(rows):
        if row.level is not None:
            truth[number, :_LEVELS] = row.level <= np.arange(1, _LEVELS + 1)
            weight[number, :_LEVELS] = weights[row.source]
        if row.crisis is not None:
            truth[number, _CRISIS] = row.crisis
            weight[number, _CRISIS] = weights[row.source]
        if row.crisis:
            truth[number, _EMERGENCY:_LEVELS] = 1.0
            weight[number, _EMERGENCY:_LEVELS] = weights[row.source]
    return truth, weight


class _Trainer:
    def __init__(self, config: UrgencyConfig, data_dir: Path, smoke: bool) -> None:
        self.config = config
        self.pretrained = Pretrained(Path(config.encoder))
        reader = self.pretrained.reader()
        verdict = RuleVerdict()
        limit = _SMOKE if smoke else None
        self.rows = [
            *own_messages(verdict, limit),
            *wordings(verdict, limit),
            *practice_cases(data_dir, limit),
            *consults(data_dir, verdict, limit or config.consults),
        ]
        self.mask = reader.mask
        self.ids = [head_and_tail(reader(row.text).ids, config.longest) for row in self.rows]
        self.truth, self.weight = targets(self.rows, config.weights)

    def run(self, seen: NDArray[np.int64], seed: int, progress: Progress) -> UrgencyNet:
        """A network trained on the rows `seen`."""
        encoder = self.pretrained.encoder(self.config.dropout)
        torch.manual_seed(seed)
        net = UrgencyNet(encoder)
        truth, weight = torch.from_numpy(self.truth[seen]), torch.from_numpy(self.weight[seen])

        def loss(odds: Tensor, numbers: NDArray[np.intp]) -> Tensor:
            each = functional.binary_cross_entropy_with_logits(
                odds.float(), truth[numbers], weight=weight[numbers], reduction="sum"
            )
            return each / weight[numbers].sum().clamp(min=1.0)

        task = progress.add_task(f"training, seed {seed}", total=1.0)
        ids = [self.ids[i] for i in seen]
        return fit(net, encoder, ids, loss, self.config.fit, self.mask, seed, (progress, task))

    def odds(self, net: UrgencyNet, rows: NDArray[np.int64]) -> Floats:
        """Log-odds [N, 5] of some rows."""
        return np.stack([found for (found,) in outputs_of(net, [self.ids[i] for i in rows])])


def train(
    config_path: Path,
    data_dir: Path,
    out_dir: Path,
    *,
    smoke: bool = False,
    torch_program: bool = False,
) -> dict[str, dict[str, float]]:
    """Train, calibrate, measure and write the artifact into `out_dir`; returns the metrics."""
    config = UrgencyConfig.model_validate(read_yaml(config_path))
    if smoke:
        config = config.model_copy(
            update={"folds": 2, "fit": config.fit.model_copy(update={"epochs": 1})}
        )
    torch.set_num_threads(config.threads)
    trainer = _Trainer(config, data_dir, smoke)
    everything = np.arange(len(trainer.rows))
    fold = np.random.default_rng(config.seed).permutation(len(everything)) % config.folds
    odds = np.zeros((len(everything), OUTPUTS), dtype=np.float32)
    with Progress() as progress:
        for part in range(config.folds):
            net = trainer.run(everything[fold != part], config.seed + part, progress)
            odds[fold == part] = trainer.odds(net, everything[fold == part])
        final = trainer.run(everything, config.seed, progress)
    scale, shift = _calibration(odds, trainer)
    final.get_buffer("scale").copy_(torch.from_numpy(scale))
    final.get_buffer("shift").copy_(torch.from_numpy(shift))
    probabilities = 1.0 / (1.0 + np.exp(-(odds * scale + shift)))
    thresholds = _thresholds(probabilities, trainer.rows, config.alarms)
    thresholds["strong"] = config.strong
    metrics = _measure(probabilities, trainer.rows, thresholds)
    _write(out_dir, trainer, final, thresholds, metrics, data_dir, torch_program=torch_program)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _calibration(odds: Floats, trainer: _Trainer) -> tuple[Floats, Floats]:
    """Platt scaling of every output on held-out rows: slopes and intercepts [5]."""
    scale, shift = np.ones(OUTPUTS, np.float32), np.zeros(OUTPUTS, np.float32)
    for column in range(OUTPUTS):
        known = trainer.weight[:, column] > 0
        if len(set(trainer.truth[known, column])) == 2:
            fitted = LogisticRegression(C=1e3).fit(
                odds[known, column : column + 1],
                trainer.truth[known, column],
                sample_weight=trainer.weight[known, column],
            )
            scale[column], shift[column] = fitted.coef_[0, 0], fitted.intercept_[0]
    return scale, shift


def _thresholds(
    probabilities: Floats, rows: Sequence[Message], alarms: Mapping[str, float]
) -> dict[str, float]:
    """The lowest probabilities that raise no more than `alarms` of any population of complaints
    that the rules call routine: real consults, and bare names of findings."""
    columns = {
        "emergency": _EMERGENCY, "urgent": _URGENT, "crisis": _CRISIS, "look": _URGENT
    }  # fmt: skip
    populations = [
        np.array([r.source == source and (r.level or 0) >= _ROUTINE for r in rows])
        for source in ("consult", "wording")
    ]
    return {
        name: round(
            max(
                float(np.quantile(probabilities[who, column], 1 - alarms[name]))
                for who in populations
            ),
            4,
        )
        for name, column in columns.items()
    }


def _measure(
    probabilities: Floats, rows: Sequence[Message], thresholds: Mapping[str, float]
) -> dict[str, dict[str, Metric]]:
    """What the thresholds do to held-out own messages."""
    levels = np.array([r.level or 0 if r.source == "message" else 0 for r in rows])
    crisis = np.array([r.source == "crisis" and bool(r.crisis) for r in rows])
    harmless = np.array([r.source == "crisis" and not r.crisis for r in rows])
    to_emergency = probabilities[:, _EMERGENCY] >= thresholds["emergency"]
    to_today = to_emergency | (probabilities[:, _URGENT] >= thresholds["urgent"])
    alarm = probabilities[:, _CRISIS] >= thresholds["crisis"]

    def share(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> Metric:
        n = int(of.sum())
        low, high = wilson_interval(int((hits & of).sum()), n)
        return Metric(value=float((hits & of).sum() / max(n, 1)), low=low, high=high)

    emergencies, minor = (levels == 1) | (levels == 2), levels >= _ROUTINE
    return {
        "own messages, cross-validation, model alone": {
            "emergencies_raised_to_emergency": share(to_emergency, emergencies),
            "emergencies_raised_to_today_at_least": share(to_today, emergencies),
            "minor_raised_to_emergency": share(to_emergency, minor),
            "minor_raised_to_today_at_least": share(to_today, minor),
            "crises_found": share(alarm, crisis),
            "look_alikes_taken_for_crises": share(alarm, harmless),
        }
    }


def _write(
    out_dir: Path,
    trainer: _Trainer,
    net: UrgencyNet,
    thresholds: dict[str, float],
    metrics: dict[str, dict[str, Metric]],
    data_dir: Path,
    *,
    torch_program: bool,
) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    config, small = trainer.config, stored(net)
    example = {"ids": torch.ones(2, 5, dtype=torch.int64)}
    export_onnx(small, example, {"urgency": (0,)}, out_dir / NETWORK)
    shutil.copyfile(trainer.pretrained.folder / VOCABULARY, out_dir / VOCABULARY)
    backend = OnnxBackend(out_dir / NETWORK, threads=config.threads)
    some = [{"ids": ids[None]} for ids in trainer.ids[:: max(1, len(trainer.ids) // 48)]]
    own = sum(row.source in ("message", "crisis") for row in trainer.rows)
    consulted, named = (
        sum(row.source == source for row in trainer.rows) for source in ("consult", "wording")
    )
    practised = sum(row.source == "practice" for row in trainer.rows)
    sets = {"esi_handbook.train": practised} | {n: count(data_dir, n) for n in PRETRAINED_ON}
    write_artifact(
        out_dir,
        Manifest(
            name="urgency",
            version=2,
            task="urgency",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[TensorSpec(name="ids", dtype="int64", shape=[-1, -1])],
            outputs=[TensorSpec(name="urgency", dtype="float32", shape=[-1, OUTPUTS])],
            preprocessing={"longest": config.longest},
            thresholds=thresholds,
            languages=["zh", "en"],
            training_sets=[
                *(training_set(data_dir, name, n) for name, n in sets.items()),
                TrainingSet(
                    name="own messages",
                    rows=own,
                    licence="Apache-2.0",
                    commercial_use="allowed",
                    source="training/text/messages",
                ),
            ],
            metrics=metrics,
            parity=parity(small, backend, some, "urgency"),
            files={},
            notes=[
                f"{consulted} rows of zh_consult_internal.train and {named} names of findings have "
                f"the rules' verdict, with a weight of {config.weights['consult']}.",
                "The other public sets but the ESI handbook were read without labels, to pretrain "
                "the encoder.",
            ],
        ),
        _SECTIONS,
        others=(VOCABULARY,),
    )
    if torch_program:
        add_program(out_dir, unfolded(small), example, some)
