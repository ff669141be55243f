"""Trains the intent model and writes its folder of the model repository.

    fenzhen train intent --out OUT

Few queries have a label, so teachers learn from those: a linear machine over n-grams and some
encoders. The encoder that ships is their student, and learns from what they think together of
many queries without one, too (Hinton et al. 2015); a first student is a teacher of the next
(Furlanello et al. 2018). The sets are under research-only terms: the
manifest says so, and the model loads only where non-commercial weights are allowed. Measured on
KUAKE-QIC.dev, which nothing is learned from.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional

from knowledge_base.lexicon.intents import intents
from knowledge_base.yaml_files import read_yaml
from models.backends.onnx import OnnxBackend
from models.calibration import softmax
from models.manifest import Calibration, Label, Manifest, Metric, TensorSpec
from models.metrics import expected_calibration_error, wilson_interval
from models.text.ngrams import NgramFeaturiser
from models.text.pieces import VOCABULARY, head_and_tail
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.calibrate import HeldOut, fit_temperature
from training.text.corpus import PRETRAINED_ON_QUERIES
from training.text.department_data import Example
from training.text.finetune import FitConfig, Pretrained, TextModelConfig, fit, outputs_of
from training.text.intent_data import SET, labelled, unlabelled
from training.text.linear import Linear
from training.text.linear import fit as fit_linear
from training.text.readers import count, training_set
from training.text.sparse import Floats, count_matrix, inverse_document_frequency, tf_idf
from training.text.stored import stored, unfolded
from training.text.text_reader import TextReader
from training.torch_program import add_program

_SMOKE_ROWS = 300
_SECTIONS = {
    "What it is for": (
        "What a Chinese question to a medical service asks for: eleven intents, from what the "
        "illness may be to what it costs."
    ),
    "What it is not for": (
        "It states no urgency, no department and no diagnosis. It has not learned from English."
    ),
    "How it was measured": (
        "KUAKE-QIC.dev, from which nothing was learned. Unlabelled queries of other sets taught "
        "the student; a twentieth of the labelled ones was held out for the temperature."
    ),
}


class IntentConfig(TextModelConfig):
    """`training/configs/intent.yaml`."""

    buckets: int
    max_characters: int
    longest_run: int
    cost: float
    label_smoothing: float
    held_out: float
    teachers: int
    generations: int
    unmarked: int
    teacher: FitConfig
    student: FitConfig


@dataclass(frozen=True)
class _LinearTeacher:
    """A linear machine with its idf and the temperature of its scores."""

    machine: Linear
    idf: Floats
    temperature: float


class _Trainer:
    """The queries, and one fit after the other."""

    def __init__(self, config: IntentConfig, data_dir: Path, smoke: bool) -> None:
        limit = _SMOKE_ROWS if smoke else None
        self.config, self.data_dir = config, data_dir
        self.pretrained = Pretrained(Path(config.encoder))
        self.reader = self.pretrained.reader()
        self.grams = NgramFeaturiser(config.buckets, config.max_characters, config.longest_run)
        self.texts, self.labels = labelled(data_dir, "train", limit)
        self.dev, self.dev_labels = labelled(data_dir, "dev", limit)
        self.unmarked = unlabelled(data_dir, config.unmarked, config.seed, limit)
        lot = np.random.default_rng(config.seed).random(len(self.texts))
        self.seen = np.flatnonzero(lot >= config.held_out)
        self.held = np.flatnonzero(lot < config.held_out)

    def linear(self) -> _LinearTeacher:
        """The linear teacher."""
        texts = [self.texts[i] for i in self.seen]
        counts = count_matrix(_examples(texts), self.grams)
        idf = inverse_document_frequency(counts)
        weights = np.ones(len(texts), dtype=np.float32)
        machine = fit_linear(
            tf_idf(counts, idf), self.labels[self.seen], weights, len(intents()),
            self.config.cost, self.config.seed,
        )  # fmt: skip
        teacher = _LinearTeacher(machine, idf, 1.0)
        temperature = self.temperature(self.linear_scores(teacher, self.held_texts))
        return replace(teacher, temperature=temperature)

    def linear_scores(self, teacher: _LinearTeacher, texts: Sequence[str]) -> Floats:
        """Scores [N, C]."""
        counts = count_matrix(_examples(texts), self.grams)
        return teacher.machine.scores(tf_idf(counts, teacher.idf))

    def encoder(
        self, texts: Sequence[str], targets: Floats, step: FitConfig, seed: int, progress: Progress
    ) -> TextReader:
        """A network that learned `targets` [N, C], probabilities, of texts."""
        torch.manual_seed(seed)
        net = TextReader(self.pretrained.encoder(self.config.dropout), len(intents()))
        wanted = torch.from_numpy(targets)

        def loss(outputs: Tensor, numbers: NDArray[np.intp]) -> Tensor:
            return functional.cross_entropy(
                outputs.float(), wanted[numbers], label_smoothing=self.config.label_smoothing
            )

        task = progress.add_task(f"training, {len(texts)} queries", total=1.0)
        rows, mask = self.pieces(texts), self.reader.mask
        return fit(net, net.encoder, rows, loss, step, mask, seed, (progress, task))

    def scores(self, net: nn.Module, texts: Sequence[str]) -> Floats:
        """An encoder's scores [N, C]."""
        return np.stack([found for (found,) in outputs_of(net, self.pieces(texts))])

    def pieces(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """What the network reads of each text."""
        return [head_and_tail(self.reader(text).ids, self.config.longest) for text in texts]

    def student(self, progress: Progress) -> TextReader:
        """The encoder that ships."""
        config, size = self.config, len(intents())
        texts, right = [self.texts[i] for i in self.seen], self.labels[self.seen]
        marked = np.eye(size, dtype=np.float32)[right]
        linear = self.linear()
        opinions = softmax(self.linear_scores(linear, self.unmarked), linear.temperature)
        for number in range(config.teachers):
            net = self.encoder(texts, marked, config.teacher, config.seed + number, progress)
            opinions = opinions + softmax(self.scores(net, self.unmarked))
        everything, teachers = [*texts, *self.unmarked], 1 + config.teachers
        for number in range(config.generations):
            targets = np.vstack([marked, (opinions / teachers).astype(np.float32)])
            seed = config.seed + number
            net = self.encoder(everything, targets, config.student, seed, progress)
            opinions, teachers = opinions + softmax(self.scores(net, self.unmarked)), teachers + 1
        return net

    def temperature(self, scores: Floats) -> float:
        """Of scores of the queries that nobody learned from."""
        identity = np.eye(len(intents()))
        return fit_temperature(HeldOut(scores, self.labels[self.held], identity, 1.0))

    @property
    def held_texts(self) -> list[str]:
        """Those queries."""
        return [self.texts[i] for i in self.held]


def _examples(texts: Sequence[str]) -> list[Example]:
    return [Example(text, (), "", "", "") for text in texts]


def train(
    config_path: Path,
    data_dir: Path,
    out_dir: Path,
    *,
    smoke: bool = False,
    torch_program: bool = False,
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few rows of every set and one epoch, to show that all parts fit.
    """
    config = IntentConfig.model_validate(read_yaml(config_path))
    if smoke:
        short = {name: getattr(config, name).model_copy(update={"epochs": 1}) for name in
                 ("teacher", "student")}  # fmt: skip
        config = config.model_copy(update=short)
    torch.set_num_threads(config.threads)
    with Progress() as progress:
        trainer = _Trainer(config, data_dir, smoke)
        net = stored(trainer.student(progress))
    temperature = trainer.temperature(trainer.scores(net, trainer.held_texts))
    metrics = _measured(trainer, net, temperature)
    _write(config, out_dir, trainer, net, temperature, metrics, torch_program)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _measured(
    trainer: _Trainer, net: nn.Module, temperature: float
) -> dict[str, dict[str, Metric]]:
    """The network that ships on KUAKE-QIC.dev."""
    truth = trainer.dev_labels
    logits = trainer.scores(net, trainer.dev)
    right = int((logits.argmax(axis=1) == truth).sum())
    interval = wilson_interval(right, len(truth))
    found = {
        "n": Metric(value=float(len(truth))),
        "accuracy": Metric(value=right / len(truth), low=interval.low, high=interval.high),
    }
    probabilities = softmax(logits, temperature)
    right_ones, sure = probabilities.argmax(axis=1) == truth, probabilities.max(axis=1)
    found["ece"] = Metric(value=expected_calibration_error(right_ones, sure))
    return {f"{SET}.dev": found}


def _write(
    config: IntentConfig, out_dir: Path, trainer: _Trainer, net: nn.Module, temperature: float,
    metrics: dict[str, dict[str, Metric]], torch_program: bool,
) -> None:  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(config.encoder) / VOCABULARY, out_dir / VOCABULARY)
    rows = [{"pieces": pieces[None]} for pieces in trainer.pieces(trainer.dev[:64])]
    example = {"pieces": torch.full((2, 5), 3, dtype=torch.int64)}
    export_onnx(net, example, {"logits": (0,)}, out_dir / NETWORK)
    sets = {f"{SET}.train": len(trainer.texts)} | {
        name: count(trainer.data_dir, name) for name in PRETRAINED_ON_QUERIES
    }
    write_artifact(
        out_dir,
        Manifest(
            name="intent",
            version=1,
            task="intent",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[TensorSpec(name="pieces", dtype="int64", shape=[-1, -1])],
            outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, len(intents())])],
            labels=[Label(code=c, zh=n["zh"], en=n["en"]) for c, n in intents().items()],
            preprocessing={"longest": config.longest},
            calibration=Calibration(temperature=temperature),
            languages=["zh"],
            training_sets=[training_set(trainer.data_dir, n, rows) for n, rows in sets.items()],
            metrics=metrics,
            parity=parity(net, OnnxBackend(out_dir / NETWORK, threads=1), rows, "logits"),
            files={},
            notes=["All sets but the first were read without their labels."],
        ),
        _SECTIONS,
        others=(VOCABULARY,),
    )
    if torch_program:
        add_program(out_dir, unfolded(net), example, rows)
