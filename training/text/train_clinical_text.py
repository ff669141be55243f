"""Trains the clinical text model and writes its folder of the model repository.

    fenzhen train clinical-text --out OUT

Both of its sets are under research-only terms: the manifest says so, and the model loads only
where non-commercial weights are allowed. Entities are measured by cross-validation over lines
(CMeEE has no other part here), intents on KUAKE-QIC.dev, which nothing is learned from.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional

from knowledge_base.lexicon.intents import intents
from knowledge_base.yaml_files import read_yaml
from models.backends.onnx import OnnxBackend
from models.manifest import Calibration, Label, Manifest, Metric, TensorSpec
from models.metrics import wilson_interval
from models.text.entities import TAGS, best_tags, runs
from models.text.pieces import VOCABULARY
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.clinical_data import NO_INTENT, Row, queries, sentences
from training.text.corpus import PRETRAINED_ON_QUERIES
from training.text.encoder import Encoder, pooled
from training.text.finetune import FitConfig, Pretrained, fit, outputs_of
from training.text.readers import count, training_set
from training.text.stored import stored

_IGNORED = -100
_HIDDEN = -1e4
_SMOKE_ROWS = 40
_SECTIONS = {
    "What it is for": (
        "What a Chinese question to a medical service asks for (eleven intents), and the entities "
        "that a Chinese clinical sentence names (nine types, exact spans)."
    ),
    "What it is not for": (
        "It states no urgency, no diagnosis and no status: whether a symptom is denied or past is "
        "the findings reader's work. It has not learned from English."
    ),
    "How it was measured": (
        "Entities: exact span and type, micro over symptoms and body sites, by cross-validation "
        "over lines; the shipped network then learns from all lines, so it must not be measured "
        "there again. Intents: KUAKE-QIC.dev, from which nothing was learned."
    ),
}


class ClinicalConfig(BaseModel):
    """`training/configs/clinical_text.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: dict[str, str]
    seed: int
    threads: int
    encoder: str
    longest: int
    longest_query: int
    dropout: float
    folds: int
    label_smoothing: float
    kinds: dict[str, float]
    fit: FitConfig


class ClinicalText(nn.Module):
    """ids int64 [N, L] to tags [N, L, T * 5] and intent [N, C]."""

    def __init__(self, encoder: Encoder, kinds: int, labels: int) -> None:
        super().__init__()
        width = encoder.shape.width
        self.encoder = encoder
        self.dropout = nn.Dropout(0.2)
        self.tags = nn.Linear(width, kinds * TAGS)
        self.intent = nn.Linear(2 * width, labels)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; an intent is read from the mean and the maximum of all states."""
        states = self.encoder(ids)
        unseen = (ids == 0).to(states.dtype)[:, :, None] * _HIDDEN
        whole = torch.cat([pooled(states, ids), (states + unseen).amax(dim=1)], dim=-1)
        return self.tags(self.dropout(states)), self.intent(self.dropout(whole))


class _Trainer:
    """Rows of both sets, and one training run after the other."""

    def __init__(self, config: ClinicalConfig, data_dir: Path, smoke: bool) -> None:
        self.config, self.data_dir = config, data_dir
        self.pretrained = Pretrained(Path(config.encoder))
        reader = self.pretrained.reader()
        limit = _SMOKE_ROWS if smoke else None
        self.mask, self.kinds = reader.mask, list(config.kinds)
        names = {name["zh"]: number for number, name in enumerate(intents().values())}

        def labelled(part: str) -> list[Row]:
            return [
                dataclasses.replace(row, ids=row.ids[: config.longest_query], intent=names[label])
                for row, label in queries(data_dir, part, reader, limit)
            ]

        self.queries, self.dev = labelled("train"), labelled("dev")
        self.sentences = sentences(data_dir, reader, config.longest, limit)
        self.weights = torch.tensor([config.kinds[kind] for kind in self.kinds])

    def run(self, rows: Sequence[Row], seed: int, progress: Progress) -> ClinicalText:
        """A network trained on `rows`."""
        encoder = self.pretrained.encoder(self.config.dropout)
        torch.manual_seed(seed)
        net = ClinicalText(encoder, len(self.kinds), len(intents()))
        task = progress.add_task(f"training, seed {seed}", total=1.0)
        asked = torch.tensor([row.intent for row in rows])

        def loss(outputs: tuple[Tensor, Tensor], numbers: NDArray[np.intp]) -> Tensor:
            tags, intent = outputs
            wanted = asked[numbers]
            total = functional.cross_entropy(
                intent.float(), wanted, ignore_index=NO_INTENT, reduction="sum",
                label_smoothing=self.config.label_smoothing,
            )  # fmt: skip
            places = [place for place, row in enumerate(numbers) if rows[row].tags is not None]
            if places:
                truth = self._truth([rows[numbers[p]] for p in places], tags.shape[1] - 1)
                total = total + len(places) * self._tag_loss(tags[places, 1:].float(), truth)
            return total * (2 / len(numbers))

        ids = [row.ids for row in rows]
        return fit(
            net, encoder, ids, loss, self.config.fit, self.mask, seed, (progress, task)
        )  # fmt: skip

    def _truth(self, rows: Sequence[Row], length: int) -> Tensor:
        """Tags [N, T, length] of rows, _IGNORED where a row has no piece."""
        truth = torch.full((len(rows), len(self.kinds), length), _IGNORED)
        for number, row in enumerate(rows):
            assert row.tags is not None
            truth[number, :, : row.tags.shape[1]] = torch.from_numpy(row.tags)
        return truth

    def _tag_loss(self, tags: Tensor, truth: Tensor) -> Tensor:
        """Mean over pieces of the types' weighted losses; tags [N, L, T * 5], truth [N, T, L]."""
        rows, length, _ = tags.shape
        split = tags.reshape(rows, length, len(self.kinds), TAGS).permute(0, 3, 2, 1)
        each = functional.cross_entropy(split, truth, ignore_index=_IGNORED, reduction="none")
        return (each * self.weights[None, :, None]).sum() / (truth[:, 0] != _IGNORED).sum()


def _spans(tags: NDArray[np.int64]) -> set[tuple[int, int, int]]:
    return {(kind, *span) for kind in (0, 1) for span in runs(tags[kind])}


def _counted(net: ClinicalText, rows: Sequence[Row], kinds: int) -> NDArray[np.int64]:
    """Right, found and true spans of sym and bod per row [N, 3]."""
    counts = np.zeros((len(rows), 3), dtype=np.int64)
    for number, row in enumerate(rows):
        assert row.tags is not None
        with torch.inference_mode():
            scores = net(torch.from_numpy(row.ids[None]))[0][0, 1:].numpy()
        found = best_tags(scores.reshape(-1, kinds, TAGS).transpose(1, 0, 2))
        given, true = _spans(found), _spans(row.tags)
        counts[number] = (len(given & true), len(given), len(true))
    return counts


def _intent_scores(net: ClinicalText, rows: Sequence[Row]) -> NDArray[np.float32]:
    return np.stack([found for _, found in outputs_of(net, [row.ids for row in rows])])


def _temperature(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Temperature scaling (Guo et al. 2017) over a grid, on scores of rows that were held out."""
    grid = np.geomspace(0.3, 3.0, 60)
    wanted, logits = torch.from_numpy(truth), torch.from_numpy(scores)
    losses = [float(functional.cross_entropy(logits / t, wanted)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, smoke: bool = False
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few rows of every set, to show that all parts fit.
    """
    config = ClinicalConfig.model_validate(read_yaml(config_path))
    if smoke:
        config = config.model_copy(
            update={"folds": 2, "fit": config.fit.model_copy(update={"epochs": 1})}
        )
    torch.set_num_threads(config.threads)
    with Progress() as progress:
        trainer = _Trainer(config, data_dir, smoke)
        metrics, temperature = _cross_validated(trainer, progress)
        everything = [*trainer.queries, *trainer.sentences]
        net = trainer.run(everything, config.seed, progress)
    truth = np.array([row.intent for row in trainer.dev])
    right = _intent_scores(net, trainer.dev).argmax(axis=1) == truth
    low, high = wilson_interval(int(right.sum()), len(right))
    metrics["KUAKE-QIC.dev"] = {"accuracy": Metric(value=float(right.mean()), low=low, high=high)}
    _write(out_dir, trainer, net, temperature, metrics)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _cross_validated(
    trainer: _Trainer, progress: Progress
) -> tuple[dict[str, dict[str, Metric]], float]:
    """Entities and intents of held-out rows, and the temperature that fits the latter."""
    config = trainer.config
    rng = np.random.default_rng(config.seed)
    lines = rng.permutation(1 + max(row.group for row in trainer.sentences)) % config.folds
    asked = rng.permutation(len(trainer.queries)) % config.folds
    counts, scores, truth = np.zeros(3, dtype=np.int64), [], []
    folds = progress.add_task("cross-validation", total=config.folds)
    for fold in range(config.folds):
        seen = [row for row in trainer.sentences if lines[row.group] != fold]
        out = [row for row in trainer.sentences if lines[row.group] == fold]
        known = [row for row, part in zip(trainer.queries, asked, strict=True) if part != fold]
        held = [row for row, part in zip(trainer.queries, asked, strict=True) if part == fold]
        net = trainer.run([*known, *seen], config.seed + fold, progress)
        counts += _counted(net, out, len(trainer.kinds)).sum(axis=0)
        scores.append(_intent_scores(net, held))
        truth += [row.intent for row in held]
        progress.advance(folds)
    logits, wanted = np.concatenate(scores), np.array(truth)
    right, found, true = (int(c) for c in counts)
    return {
        "CMeEE.dev cross-validation, sym and bod": {
            "precision": Metric(value=right / max(found, 1)),
            "recall": Metric(value=right / max(true, 1)),
            "f1": Metric(value=2 * right / max(found + true, 1)),
        },
        "KUAKE-QIC.train cross-validation": {
            "accuracy": Metric(value=float((logits.argmax(axis=1) == wanted).mean()))
        },
    }, _temperature(logits, wanted)


def _write(
    out_dir: Path,
    trainer: _Trainer,
    net: ClinicalText,
    temperature: float,
    metrics: dict[str, dict[str, Metric]],
) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    config, small = trainer.config, stored(net)
    outputs = {"tags": (0, 1), "intent": (0,)}
    export_onnx(small, {"ids": torch.ones(2, 5, dtype=torch.int64)}, outputs, out_dir / NETWORK)
    shutil.copyfile(trainer.pretrained.folder / VOCABULARY, out_dir / VOCABULARY)
    backend = OnnxBackend(out_dir / NETWORK, threads=config.threads)
    some = [
        {"ids": row.ids[None]} for row in trainer.queries[:: max(1, len(trainer.queries) // 32)]
    ]
    learned = {
        "cblue/KUAKE-QIC.train": len(trainer.queries),
        "cblue/CMeEE.dev": len(trainer.sentences),
    }
    sets = learned | {name: count(trainer.data_dir, name) for name in PRETRAINED_ON_QUERIES}
    write_artifact(
        out_dir,
        Manifest(
            name="clinical_text",
            version=1,
            task="clinical_text",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[TensorSpec(name="ids", dtype="int64", shape=[-1, -1])],
            outputs=[
                TensorSpec(name="tags", dtype="float32", shape=[-1, -1, len(trainer.kinds) * TAGS]),
                TensorSpec(name="intent", dtype="float32", shape=[-1, len(intents())]),
            ],
            labels=[Label(code=c, zh=n["zh"], en=n["en"]) for c, n in intents().items()],
            preprocessing={"longest": config.longest, "entity_types": " ".join(trainer.kinds)},
            calibration=Calibration(temperature=temperature),
            languages=["zh"],
            training_sets=[training_set(trainer.data_dir, n, rows) for n, rows in sets.items()],
            metrics=metrics,
            parity=parity(small, backend, some, "intent", place=1),
            files={},
            notes=["The encoder read all sets but the first two without their labels."],
        ),
        _SECTIONS,
        others=(VOCABULARY,),
    )
