"""Trains the intent model and writes its folder of the model repository.

    fenzhen train intent --out OUT

Two halves, as for departments. The encoder's half is a student: few queries have a label, so
teachers learn from those, and the student from what they and the linear half think of many
without one (Hinton et al. 2015). The sets are under research-only terms: the manifest says so, and
the model loads only where non-commercial weights are allowed. Measured on KUAKE-QIC.dev, which
nothing is learned from.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from knowledge_base.lexicon.intents import intents
from knowledge_base.yaml_files import read_yaml
from models.backends.onnx import OnnxBackend
from models.calibration import softmax
from models.manifest import Calibration, Label, Manifest, Metric, TensorSpec
from models.metrics import wilson_interval
from models.text.ngrams import NgramFeaturiser
from models.text.pieces import VOCABULARY
from models.text.two_readings import TwoReadings
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.calibrate import Calibrator, HeldOut, fit_temperature
from training.text.corpus import PRETRAINED_ON_QUERIES
from training.text.department_data import Example
from training.text.finetune import FitConfig, Pretrained, fit, outputs_of
from training.text.intent_data import SET, labelled, unlabelled
from training.text.linear import Linear
from training.text.linear import fit as fit_linear
from training.text.readers import count, training_set
from training.text.sparse import Floats, count_matrix, inverse_document_frequency, tf_idf
from training.text.text_reader import TextReader
from training.text.two_halves import TwoHalves

_SMOKE_ROWS = 300
_UNBENT = 1e6
"""A knee that no score reaches."""
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
        "the student; a tenth of the labelled ones was held out for the temperatures."
    ),
}


class IntentConfig(BaseModel):
    """`training/configs/intent.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: dict[str, str]
    seed: int
    threads: int
    encoder: str
    longest: int
    dropout: float
    buckets: int
    max_characters: int
    longest_run: int
    cost: float
    label_smoothing: float
    share: float
    held_out: float
    teachers: int
    unmarked: int
    teacher: FitConfig
    student: FitConfig


@dataclass(frozen=True)
class _LinearHalf:
    """The linear machine with its idf and the temperature of its scores."""

    machine: Linear
    idf: Floats
    temperature: float


class _Trainer:
    """The queries, and one fit after the other."""

    def __init__(self, config: IntentConfig, data_dir: Path, smoke: bool) -> None:
        limit = _SMOKE_ROWS if smoke else None
        self.config, self.data_dir = config, data_dir
        self.pretrained = Pretrained(Path(config.encoder))
        featuriser = NgramFeaturiser(config.buckets, config.max_characters, config.longest_run)
        self.readings = TwoReadings(featuriser, self.pretrained.reader(), config.longest)
        self.texts, self.labels = labelled(data_dir, "train", limit)
        self.dev, self.dev_labels = labelled(data_dir, "dev", limit)
        self.unmarked = unlabelled(data_dir, config.unmarked, config.seed, limit)
        lot = np.random.default_rng(config.seed).random(len(self.texts))
        self.seen = np.flatnonzero(lot >= config.held_out)
        self.held = np.flatnonzero(lot < config.held_out)

    def linear(self) -> _LinearHalf:
        """The linear half on all queries; its temperature from one that saw only `seen`."""
        part = self._linear(self.seen)
        scores = self.linear_scores(part, [self.texts[i] for i in self.held])
        whole = self._linear(np.arange(len(self.texts)))
        return _LinearHalf(whole.machine, whole.idf, self._temperature(scores))

    def _linear(self, rows: NDArray[np.int64]) -> _LinearHalf:
        counts = count_matrix(_examples([self.texts[i] for i in rows]), self.readings.featuriser)
        idf = inverse_document_frequency(counts)
        weights = np.ones(len(rows), dtype=np.float32)
        machine = fit_linear(
            tf_idf(counts, idf), self.labels[rows], weights, len(intents()), self.config.cost,
            self.config.seed,
        )  # fmt: skip
        return _LinearHalf(machine, idf, 1.0)

    def linear_scores(self, half: _LinearHalf, texts: Sequence[str]) -> Floats:
        """Scores [N, C]."""
        counts = count_matrix(_examples(texts), self.readings.featuriser)
        return half.machine.scores(tf_idf(counts, half.idf))

    def _temperature(self, scores: Floats) -> float:
        identity = np.eye(len(intents()))
        return fit_temperature(HeldOut(scores, self.labels[self.held], identity, 1.0))

    def reader(
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
        rows, mask = self._pieces(texts), self.readings.reader.mask
        return fit(net, net.encoder, rows, loss, step, mask, seed, (progress, task))

    def scores(self, net: TextReader, texts: Sequence[str]) -> Floats:
        """The encoder's scores [N, C]."""
        return np.stack([found for (found,) in outputs_of(net, self._pieces(texts))])

    def _pieces(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        return [self.readings.pieces(text) for text in texts]

    def student(self, linear: _LinearHalf, progress: Progress) -> tuple[TextReader, float]:
        """The encoder's half, and the temperature of a teacher's product with the linear half."""
        config, size = self.config, len(intents())
        marked = np.eye(size, dtype=np.float32)[self.labels]
        some = [self.texts[i] for i in self.seen]
        opinions = softmax(self.linear_scores(linear, self.unmarked), linear.temperature)
        temperature = 1.0
        for number in range(config.teachers):
            seed = config.seed + number
            first = number == 0
            texts, targets = (some, marked[self.seen]) if first else (self.texts, marked)
            net = self.reader(texts, targets, config.teacher, seed, progress)
            opinions = opinions + softmax(self.scores(net, self.unmarked))
            if first:
                held = [self.texts[i] for i in self.held]
                part = self.linear_scores(self._linear(self.seen), held) / linear.temperature
                both = part + config.share * self.scores(net, held)
                temperature = self._temperature(both.astype(np.float32))
        targets = np.vstack([marked, (opinions / (1 + config.teachers)).astype(np.float32)])
        texts = [*self.texts, *self.unmarked]
        return self.reader(texts, targets, config.student, config.seed, progress), temperature


def _examples(texts: Sequence[str]) -> list[Example]:
    return [Example(text, (), "", "", "") for text in texts]


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, smoke: bool = False
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
        linear = trainer.linear()
        reader, temperature = trainer.student(linear, progress)
    bend = Calibrator(_UNBENT, 1.0, np.zeros(len(intents()), np.float32), linear.temperature)
    net = TwoHalves(linear.machine, linear.idf, bend, reader, config.share).eval()
    metrics = _measured(trainer, net, linear, reader, temperature)
    _write(config, out_dir, trainer, net, temperature, metrics)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _measured(
    trainer: _Trainer, net: TwoHalves, linear: _LinearHalf, reader: TextReader, temperature: float
) -> dict[str, dict[str, Metric]]:
    """The network that ships on KUAKE-QIC.dev, and each half alone."""
    truth = trainer.dev_labels
    with torch.inference_mode():
        logits = np.concatenate(
            [
                net(*(torch.from_numpy(v) for v in trainer.readings.tensors(text).values())).numpy()
                for text in trainer.dev
            ]
        )
    shown = {
        "accuracy": logits,
        "accuracy_linear_half": trainer.linear_scores(linear, trainer.dev),
        "accuracy_encoder_half": trainer.scores(reader, trainer.dev),
    }
    found = {"n": Metric(value=float(len(truth)))}
    for name, scores in shown.items():
        right = int((scores.argmax(axis=1) == truth).sum())
        interval = wilson_interval(right, len(truth))
        found[name] = Metric(value=right / len(truth), low=interval.low, high=interval.high)
    rows = np.arange(len(truth))
    likely = softmax(logits, temperature)[rows, truth]
    found["negative_log_likelihood"] = Metric(value=float(-np.log(likely).mean()))
    return {f"{SET}.dev": found}


def _write(
    config: IntentConfig, out_dir: Path, trainer: _Trainer, net: TwoHalves, temperature: float,
    metrics: dict[str, dict[str, Metric]],
) -> None:  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(config.encoder) / VOCABULARY, out_dir / VOCABULARY)
    rows = [trainer.readings.tensors(text) for text in trainer.dev[:64]]
    example = {
        "ids": torch.zeros(2, 3, dtype=torch.int64),
        "weights": torch.zeros(2, 3),
        "pieces": torch.full((2, 5), 3, dtype=torch.int64),
    }
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
            inputs=[
                TensorSpec(name="ids", dtype="int64", shape=[-1, -1]),
                TensorSpec(name="weights", dtype="float32", shape=[-1, -1]),
                TensorSpec(name="pieces", dtype="int64", shape=[-1, -1]),
            ],
            outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, len(intents())])],
            labels=[Label(code=c, zh=n["zh"], en=n["en"]) for c, n in intents().items()],
            preprocessing={
                "buckets": config.buckets,
                "max_characters": config.max_characters,
                "longest_run": config.longest_run,
                "longest": config.longest,
            },
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
