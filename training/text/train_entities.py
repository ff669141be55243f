"""Trains the entity tagger and writes its folder of the model repository.

    fenzhen train entities --out OUT

Its set is under research-only terms: the manifest says so, and the model loads only where
non-commercial weights are allowed. It is measured by cross-validation over lines (CMeEE has no
other part here), each fold with thresholds that the other folds chose; the shipped network then
learns from all lines.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from knowledge_base.yaml_files import read_yaml
from models.backends import Tensors
from models.backends.onnx import OnnxBackend
from models.manifest import Manifest, Metric, TensorSpec
from models.text.entities import TAGS, Scores, likely_spans
from models.text.names import NAMES
from models.text.pieces import VOCABULARY
from training.export import NETWORK, export_onnx, pad, write_artifact
from training.text.corpus import PRETRAINED_ON_QUERIES
from training.text.entities_data import KINDS, SET, Mark, Sentence, sentences
from training.text.entities_measure import (
    LEAST,
    MEASURED,
    Candidate,
    best_thresholds,
    held_out_counts,
    metrics_of,
)
from training.text.finetune import FitConfig, Pretrained, TextModelConfig, fit, outputs_of
from training.text.name_lists import SETS, name_lists
from training.text.readers import count, training_set
from training.text.stored import stored, unfolded
from training.text.tagger import Packed, Tagger, tag_loss
from training.torch_program import add_program

_SMOKE_ROWS = 40
_SECTIONS = {
    "What it is for": (
        "The entities that a Chinese clinical sentence names: nine types, exact spans, each with "
        "its probability."
    ),
    "What it is not for": (
        "It states no urgency, no diagnosis and no status: whether a symptom is denied or past is "
        "the findings reader's work. It has not learned from English, nor from patients' words: "
        "its sentences are a paediatric textbook's."
    ),
    "How it was measured": (
        "Exact span and type, micro over symptoms and body sites, by cross-validation over lines; "
        "every fold is read with thresholds that the other folds chose. The shipped network then "
        "learns from all lines, so it must not be measured there again."
    ),
}


class EntitiesConfig(TextModelConfig):
    """`training/configs/entities.yaml`."""

    widest: int
    width: int
    buckets: int
    unseen: float
    folds: int
    kinds: dict[str, float]
    fit: FitConfig


class _Trainer:
    """The rows, and one training run after the other."""

    def __init__(self, config: EntitiesConfig, data_dir: Path, smoke: bool) -> None:
        self.config, self.data_dir = config, data_dir
        self.pretrained = Pretrained(Path(config.encoder))
        self.names = name_lists(data_dir)
        reader = self.pretrained.reader()
        self.mask = reader.mask
        self.sentences, self.marks = sentences(
            data_dir, reader, self.names, config.longest, _SMOKE_ROWS if smoke else None
        )
        self.weights = torch.tensor([config.kinds[kind] for kind in KINDS])

    def run(self, rows: Sequence[Sentence], seed: int, progress: Progress) -> Packed:
        """A network trained on `rows`."""
        config, encoder = self.config, self.pretrained.encoder(self.config.dropout)
        torch.manual_seed(seed)
        lists = len(self.names.lists)
        net = Packed(
            Tagger(encoder, lists, len(KINDS), config.width, config.buckets, config.unseen)
        )
        task = progress.add_task(f"training, seed {seed}", total=1.0)

        def loss(outputs: Tensor, numbers: NDArray[np.intp]) -> Tensor:
            return tag_loss(outputs, [rows[n].tags for n in numbers], self.weights)

        packed = [net.pack(row.ids, row.names) for row in rows]
        return fit(net, encoder, packed, loss, config.fit, self.mask, seed, (progress, task))

    def candidates(self, net: Packed, rows: Sequence[Sentence]) -> list[Candidate]:
        """Every span that a threshold might name, right or wrong."""
        found = []
        for row, scores in zip(rows, _scores(net, rows), strict=True):
            for span in likely_spans(scores, [LEAST] * len(KINDS), self.config.widest):
                mark: Mark = (KINDS[span.kind], row.spans[span.first][0], row.spans[span.last][1])
                right = mark in self.marks[row.group]
                found.append(Candidate(row.group, mark[0], span.probability, right))
        return found


def _scores(net: Packed, rows: Sequence[Sentence]) -> list[Scores]:
    """Tag scores [T, pieces, 5] of every row, by the network as it is shipped: stored small."""
    outputs = outputs_of(stored(net), [net.pack(row.ids, row.names) for row in rows])
    return [
        scores[1 : len(row.ids)].reshape(-1, len(KINDS), TAGS).transpose(1, 0, 2)
        for row, (scores,) in zip(rows, outputs, strict=True)
    ]


def train(
    config_path: Path,
    data_dir: Path,
    out_dir: Path,
    *,
    smoke: bool = False,
    torch_program: bool = False,
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few rows, to show that all parts fit.
    """
    config = EntitiesConfig.model_validate(read_yaml(config_path))
    if smoke:
        config = config.model_copy(
            update={"folds": 2, "fit": config.fit.model_copy(update={"epochs": 1})}
        )
    torch.set_num_threads(config.threads)
    with Progress() as progress:
        trainer = _Trainer(config, data_dir, smoke)
        metrics, thresholds = _cross_validated(trainer, progress)
        net = trainer.run(trainer.sentences, config.seed, progress)
    _write(out_dir, trainer, net.tagger, thresholds, metrics, torch_program=torch_program)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _cross_validated(
    trainer: _Trainer, progress: Progress
) -> tuple[dict[str, dict[str, Metric]], dict[str, float]]:
    """Metrics of held-out lines, and the thresholds that are best on all of them."""
    config = trainer.config
    lines = np.random.default_rng(config.seed).permutation(len(trainer.marks)) % config.folds
    candidates = []
    folds = progress.add_task("cross-validation", total=config.folds)
    for fold in range(config.folds):
        seen = [row for row in trainer.sentences if lines[row.group] != fold]
        out = [row for row in trainer.sentences if lines[row.group] == fold]
        net = trainer.run(seen, config.seed + fold, progress)
        candidates += trainer.candidates(net, out)
        progress.advance(folds)
    counts = held_out_counts(candidates, trainer.marks, lines)
    measured = [KINDS.index(kind) for kind in MEASURED]
    groups = {" and ".join(MEASURED): measured} | {k: [n] for n, k in enumerate(KINDS)}
    metrics = {
        f"CMeEE.dev cross-validation, {name}": metrics_of(
            counts[:, places].sum(axis=1), config.seed
        )
        for name, places in groups.items()
    }
    return metrics, best_thresholds(candidates, trainer.marks)


def _write(
    out_dir: Path,
    trainer: _Trainer,
    net: Tagger,
    thresholds: dict[str, float],
    metrics: dict[str, dict[str, Metric]],
    *,
    torch_program: bool,
) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    config, small = trainer.config, stored(net)
    example = {name: torch.ones(2, 5, dtype=torch.int64) for name in ("ids", "names")}
    export_onnx(small, example, {"tags": (0, 1)}, out_dir / NETWORK)
    shutil.copyfile(trainer.pretrained.folder / VOCABULARY, out_dir / VOCABULARY)
    trainer.names.write(out_dir / NAMES)
    backend = OnnxBackend(out_dir / NETWORK, threads=config.threads)
    some = [_tensors(row) for row in trainer.sentences[:: max(1, len(trainer.sentences) // 32)]]
    pretrained = {name: count(trainer.data_dir, name) for name in (*PRETRAINED_ON_QUERIES, *SETS)}
    sets = {SET: len(trainer.marks)} | pretrained
    write_artifact(
        out_dir,
        Manifest(
            name="entities",
            version=1,
            task="entities",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[TensorSpec(name=n, dtype="int64", shape=[-1, -1]) for n in ("ids", "names")],
            outputs=[TensorSpec(name="tags", dtype="float32", shape=[-1, -1, len(KINDS) * TAGS])],
            preprocessing={
                "longest": config.longest, "widest": config.widest,
                "entity_types": " ".join(KINDS),
            },
            thresholds=thresholds,
            languages=["zh"],
            training_sets=[training_set(trainer.data_dir, n, rows) for n, rows in sets.items()],
            metrics=metrics,
            parity=_parity(small, backend, some),
            files={},
            notes=[
                "The encoder read all sets but the first without their labels; the lists of names "
                "come from the lexicon, HPO and the names in the disease table."
            ],
        ),
        _SECTIONS,
        others=(VOCABULARY, NAMES),
    )  # fmt: skip
    if torch_program:
        add_program(out_dir, unfolded(small), example, some)


def _tensors(row: Sentence) -> dict[str, NDArray[np.int64]]:
    return {"ids": row.ids[None], "names": row.names[None]}


def _parity(net: nn.Module, backend: OnnxBackend, rows: Sequence[Tensors]) -> dict[str, float]:
    """As `training.export.parity`, for an output per piece: what stands on padding is left out."""
    batch = pad(rows)
    together = backend.run(batch)["tags"]
    with torch.inference_mode():
        expected = net(*(torch.from_numpy(value) for value in batch.values())).numpy()
    apart = [
        np.abs(backend.run(row)["tags"][0] - together[number, : row["ids"].shape[1]]).max()
        for number, row in enumerate(rows)
    ]
    return {
        "torch_onnx_max_abs": float(np.abs(together - expected).max()),
        "batch_invariance_max_abs": float(max(apart)),
        "rows": float(len(rows)),
    }
