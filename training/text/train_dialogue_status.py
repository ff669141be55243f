"""Trains the learned status of items in dialogues and writes its folder of the model repository.

    fenzhen train dialogue-status --out OUT

A linear model of hashed features, one machine per status. The set has no other part, so every
figure comes from cross-validation by dialogue and the shipped model learns from all dialogues: it
must not be measured on them again. Takes a minute on one CPU core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.progress import Progress
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from knowledge_base.yaml_files import read_yaml
from models.backends import Tensors
from models.backends.onnx import OnnxBackend
from models.manifest import Label, Manifest, Metric, TensorSpec
from models.metrics import bootstrap_interval
from models.tasks.dialogue_status import LABELS, features_digest
from models.text.dialogue_features import BUCKETS, features
from models.text.dialogue_labels import Pair
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.dialogue_data import DialogueData, read_dialogues
from training.text.readers import training_set

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]
_SMOKE_DIALOGUES = 12
_SAMPLES = 300
_NAMES = {
    "present": Label(code="present", zh="有", en="Present"),
    "absent": Label(code="absent", zh="无", en="Absent"),
    "unknown": Label(code="unknown", zh="未明", en="Unknown"),
    None: Label(code="none", zh="未谈及", en="Not spoken of"),
}
_SECTIONS = {
    "What it is for": (
        "Whether the last utterances of a conversation between a Chinese patient and a doctor say "
        "that a symptom or disease is present, absent or open. It reads named features of where "
        "and how an item is mentioned, and never the window before."
    ),
    "What it is not for": (
        "Triage: a patient's own messages are read by rules that a clinician can check. It makes "
        "no diagnosis. It knows the 44 items of one cardiology set and gives one status per item, "
        "though annotators at times gave two."
    ),
    "How it was measured": (
        "Cross-validation with whole dialogues held out, repeated with other folds; the figures "
        "are means over the repeats, the intervals bootstraps over dialogues. Micro over windows "
        "of (item, status), symptom items only, as `fenzhen eval findings` counts; `rules` are "
        "the hand-written rules on the same windows. Not covered by the folds: the wording in "
        "`dialogue_items.yaml`, the cue words and the settings were chosen with these dialogues "
        "in view, so the figures are a little too good."
    ),
    "Known weaknesses": (
        "160 dialogues of one speciality. Denials are rare (7 % of the labels) and found least. "
        "What only the doctor says is the hardest: an explanation, a guess and a verdict read "
        "alike. A question in general (what is the cause of …) and a patient's own condition look "
        "the same in a first message, and annotators took them now as one, now as the other."
    ),
}


class DialogueStatusConfig(BaseModel):
    """`training/configs/dialogue_status.yaml`.

    cost: C of the logistic regressions. denial: added to the log-odds of `absent`, which is so
    rare that its machine seldom speaks up against the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: dict[str, str]
    set: str
    seed: int
    repeats: int
    folds: int
    cost: float
    denial: float


@dataclass(frozen=True)
class Scorer:
    """Log-odds [N, 4] in the order of `LABELS`: rows @ weight [BUCKETS, 4] + bias [4]."""

    weight: Floats
    bias: Floats

    def __call__(self, rows: sparse.csr_matrix) -> Floats:
        scores: Floats = np.asarray(rows @ self.weight + self.bias, dtype=np.float32)
        return scores


class StatusNet(torch.nn.Module):
    """ids int64 [N, L] and weights float32 [N, L] to logits float32 [N, 4]; id 0 is padding."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(scorer.weight.astype(np.float16)))
        self.register_buffer("bias", torch.from_numpy(scorer.bias))

    def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """See the class."""
        rows = self.get_buffer("table")[ids].float()
        summed = torch.matmul(weights.unsqueeze(1), rows).squeeze(1)
        return summed + self.get_buffer("bias")


def read_config(path: Path) -> DialogueStatusConfig:
    """The settings in a file; raises pydantic.ValidationError."""
    return DialogueStatusConfig.model_validate(read_yaml(path))


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, smoke: bool = False
) -> dict[str, dict[str, float]]:
    """Measure, train on everything and write the artifact into `out_dir`; returns the metrics.

    `smoke`: few dialogues and one repeat, to show that all parts fit. Raises OSError where data
    or configuration is missing.
    """
    config = read_config(config_path)
    if smoke:
        config = config.model_copy(update={"repeats": 1, "folds": 2})
    data = read_dialogues(data_dir, config.set, _SMOKE_DIALOGUES if smoke else None)
    with Progress() as progress:
        stage = progress.add_task("cross-validation", total=config.repeats * config.folds + 1)
        held = [
            held_out(data, config, config.seed + number, lambda: progress.advance(stage))
            for number in range(config.repeats)
        ]
        scorer = fit(data.rows, data.labels, config)
        progress.advance(stage)
    metrics = measured(data, held)
    _write(out_dir, data, scorer, metrics, config, data_dir)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def fit(rows: sparse.csr_matrix, labels: NDArray[np.int64], config: DialogueStatusConfig) -> Scorer:
    """One logistic regression per label against all others."""
    weight = np.zeros((BUCKETS, len(LABELS)), dtype=np.float32)
    bias = np.zeros(len(LABELS), dtype=np.float32)
    for label in range(len(LABELS)):
        machine = LogisticRegression(
            C=config.cost, solver="liblinear", dual=True, max_iter=200, tol=0.01, random_state=0
        ).fit(rows, labels == label)
        weight[:, label], bias[label] = machine.coef_[0], machine.intercept_[0]
    bias[LABELS.index("absent")] += config.denial
    return Scorer(weight, bias)


def held_out(
    data: DialogueData, config: DialogueStatusConfig, seed: int, done: Callable[[], None]
) -> NDArray[np.int64]:
    """Places in `LABELS` [N], each from a model that saw no window of the same dialogue."""
    dialogues = data.dialogues
    order = np.random.default_rng(seed).permutation(int(dialogues.max()) + 1)
    fold = (order % config.folds)[dialogues]
    answers = np.zeros(len(dialogues), dtype=np.int64)
    for part in range(config.folds):
        scorer = fit(data.rows[fold != part], data.labels[fold != part], config)
        answers[fold == part] = scorer(data.rows[fold == part]).argmax(axis=1)
        done()
    return answers


def pairs(data: DialogueData, answers: NDArray[np.int64]) -> list[set[Pair]]:
    """The pairs of every window that `answers` [N] give."""
    found: list[set[Pair]] = [set() for _ in data.windows]
    for place, item, answer in zip(data.places, data.items, answers, strict=True):
        status = LABELS[answer]
        if status is not None:
            found[place].add((item, status))
    return found


def measured(data: DialogueData, held: Sequence[NDArray[np.int64]]) -> dict[str, dict[str, Metric]]:
    """Means over the repeats with bootstrap intervals over dialogues, and the rules' figures."""
    learned = [_counts(data, pairs(data, answers)) for answers in held]
    ruled = [_counts(data, [set(window.ruled) for window in data.windows])]
    sizes = {
        "windows": Metric(value=len(data.windows)),
        "dialogues": Metric(value=len(ruled[0])),
        "repeats": Metric(value=len(held)),
    }
    return {"cross-validation": sizes | _scores(learned), "rules": _scores(ruled)}


def _counts(data: DialogueData, found: Sequence[set[Pair]]) -> Counts:
    """Right, found and true pairs of every dialogue [D, 3]."""
    counts = np.zeros((data.windows[-1].dialogue + 1, 3), dtype=np.int64)
    for window, given in zip(data.windows, found, strict=True):
        counts[window.dialogue] += (len(given & window.truth), len(given), len(window.truth))
    return counts


def _scores(repeats: Sequence[Counts]) -> dict[str, Metric]:
    def metric(of: Callable[[Counts], float]) -> Metric:
        def mean(dialogues: NDArray[np.int64]) -> float:
            return float(np.mean([of(counts[dialogues].sum(axis=0)) for counts in repeats]))

        n = len(repeats[0])
        interval = bootstrap_interval(mean, n, samples=_SAMPLES)
        return Metric(value=mean(np.arange(n)), low=interval.low, high=interval.high)

    return {
        "precision": metric(lambda c: c[0] / max(c[1], 1)),
        "recall": metric(lambda c: c[0] / max(c[2], 1)),
        "f1": metric(lambda c: 2 * c[0] / max(c[1] + c[2], 1)),
    }


def _write(
    out_dir: Path, data: DialogueData, scorer: Scorer, metrics: dict[str, dict[str, Metric]],
    config: DialogueStatusConfig, data_dir: Path,
) -> None:  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    net = StatusNet(scorer)
    example = {"ids": torch.ones(2, 5, dtype=torch.int64), "weights": torch.ones(2, 5)}
    export_onnx(net, example, {"logits": (0,)}, out_dir / NETWORK)
    some: list[Tensors] = [
        {"ids": ids[None], "weights": weights[None]} for ids, weights in map(features, data.some)
    ]
    manifest = Manifest(
        name="dialogue_status",
        version=1,
        task="dialogue_status",
        title={"zh": config.title["zh"], "en": config.title["en"]},
        inputs=[
            TensorSpec(name="ids", dtype="int64", shape=[-1, -1]),
            TensorSpec(name="weights", dtype="float32", shape=[-1, -1]),
        ],
        outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, len(LABELS)])],
        labels=[_NAMES[label] for label in LABELS],
        preprocessing={"features_digest": features_digest()},
        languages=["zh"],
        training_sets=[training_set(data_dir, config.set, data.windows[-1].dialogue + 1)],
        metrics=metrics,
        parity=parity(net, OnnxBackend(out_dir / NETWORK), some, "logits"),
        files={},
        notes=[
            "The row of the training set counts dialogues.",
            "Features: models/text/dialogue_features.py; which way each points is in the weights.",
        ],
    )
    write_artifact(out_dir, manifest, _SECTIONS)
