"""Trains the relevance model and writes its folder of the model repository.

    fenzhen train relevance --out OUT

Two halves answer together: linear machines over what two texts share, and the encoder that reads
both. The encoder learns each label softened by what a machine thinks that never saw the pair's
group, and pairs of queries that nobody labelled (Hinton et al. 2015): left alone with the labels,
it learns the few groups of queries by heart. The sets are under research-only terms: the manifest
says so, and the model loads only where non-commercial weights are allowed. Measured on the dev
parts, which nothing is learned from.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import nn

from knowledge_base.yaml_files import read_yaml
from models.backends.onnx import OnnxBackend
from models.manifest import Calibration, Head, Label, Manifest, Metric, TensorSpec
from models.metrics import expected_calibration_error, wilson_interval
from models.tasks.relevance import KINDS
from models.text.pieces import VOCABULARY, joined
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.corpus import PRETRAINED_ON_QUERIES
from training.text.finetune import FitConfig, Ids, Pretrained, TextModelConfig
from training.text.pair_features import PairFeatures
from training.text.pair_halves import PairHalves, PairLinear
from training.text.pair_linear import pair_rows, rarity
from training.text.readers import count, training_set
from training.text.relevance_data import COLUMNS, SETS, Pair, labelled, siblings, without
from training.text.relevance_fit import (
    CLASSES,
    cross_fitted,
    fit_reader,
    logits_of,
    machines_of,
    marked,
    opinions,
    scores_of,
    shares_of,
    temperatures_of,
)
from training.text.sparse import Floats
from training.text.stored import unfolded
from training.torch_program import add_program

_SMOKE_ROWS = 300
_SECTIONS = {
    "What it is for": (
        "How two short Chinese texts relate: whether a page's title is what a query asked for, "
        "whether two queries ask the same, whether two questions mean the same."
    ),
    "What it is not for": (
        "It states no urgency and no diagnosis, and has not learned from English. Whether a "
        "passage answers a question, the reranker says."
    ),
    "How it was measured": (
        "The sets' dev parts, from which nothing was learned, and no pair of which was trained "
        "on. How much each half says was chosen on groups of training pairs held out from both."
    ),
}


class RelevanceConfig(TextModelConfig):
    """`training/configs/relevance.yaml`."""

    first: int
    pairs: int
    buckets: int
    cost: float
    held_out: float
    folds: int
    softened: float
    unmarked: int
    fit: FitConfig


class _Trainer:
    """The pairs, and both halves."""

    def __init__(self, config: RelevanceConfig, data_dir: Path, smoke: bool) -> None:
        limit = _SMOKE_ROWS if smoke else None
        self.config, self.data_dir = config, data_dir
        self.pretrained = Pretrained(Path(config.encoder))
        self.reader = self.pretrained.reader()
        self.dev = labelled(data_dir, "dev", limit)
        pairs = without(labelled(data_dir, "train", limit), self.dev)
        border = round(config.held_out * 1000)
        self.held = [pair for pair in pairs if pair.group < border]
        self.seen = without([pair for pair in pairs if pair.group >= border], self.held)

    def pieces(self, pairs: Sequence[Pair]) -> list[Ids]:
        """What the network reads of each pair."""
        config, read = self.config, self.reader
        return [
            joined(read(p.first).ids, read(p.second).ids, read.stop, config.first, config.longest)
            for p in pairs
        ]

    def net(self, progress: Progress) -> tuple[PairHalves, list[float]]:
        """The network that ships, and the temperature of each kind's logits."""
        config = self.config
        rows = self.pieces(self.seen)
        rare = rarity(Path(config.encoder) / VOCABULARY, rows)
        features = PairFeatures(torch.from_numpy(rare), self.reader.stop, config.buckets)
        told = pair_rows(features, rows)
        machines = machines_of(told, self.seen, config.cost, config.seed)
        scores = cross_fitted(told, self.seen, config.folds, config.cost, config.seed)
        temperatures = temperatures_of(scores, self.seen)
        learned = opinions(scores, self.seen, temperatures)
        targets = config.softened * marked(self.seen) + (1 - config.softened) * learned
        queries = [pair for pair in self.seen if KINDS[pair.kind] == "query_query"]
        known = [*self.seen, *self.held, *self.dev]
        fresh = siblings(queries, known, config.unmarked, config.seed)
        more = self.pieces(fresh)
        guessed = opinions(scores_of(machines, pair_rows(features, more)), fresh, temperatures)
        reader = fit_reader(
            self.pretrained, config.pairs, config.dropout, [*rows, *more], [*self.seen, *fresh],
            np.vstack([targets, guessed]).astype(np.float32), config.fit, config.seed, progress,
        )  # fmt: skip
        equal = np.ones((2, CLASSES), dtype=np.float32)
        halves = PairHalves(PairLinear(features, machines), reader, equal).eval()
        rows = self.pieces(self.held)
        shares, temperatures = shares_of(
            logits_of(halves.linear, rows), logits_of(halves.reader, rows), self.held
        )
        halves.share(shares)
        return halves, temperatures


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
    config = RelevanceConfig.model_validate(read_yaml(config_path))
    if smoke:
        # So few pairs have few groups: a twentieth of them may be none.
        short = config.fit.model_copy(update={"epochs": 1})
        config = config.model_copy(update={"fit": short, "unmarked": 100, "held_out": 0.3})
    torch.set_num_threads(config.threads)
    with Progress() as progress:
        trainer = _Trainer(config, data_dir, smoke)
        net, temperatures = trainer.net(progress)
    metrics = _measured(trainer, net, temperatures)
    _write(trainer, out_dir, net, temperatures, metrics, torch_program)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _measured(
    trainer: _Trainer, net: nn.Module, temperatures: Sequence[float]
) -> dict[str, dict[str, Metric]]:
    """The network that ships on each set's dev part."""
    logits = logits_of(net, trainer.pieces(trainer.dev))
    told = opinions(logits, trainer.dev, temperatures)
    found = {}
    for number, (kind, columns) in enumerate(zip(KINDS, COLUMNS, strict=True)):
        own = [i for i, pair in enumerate(trainer.dev) if pair.kind == number]
        found[f"{SETS[kind].name}.dev"] = _figures(
            told[own, columns], [trainer.dev[i].label for i in own]
        )
    return found


def _figures(told: Floats, truth: Sequence[int]) -> dict[str, Metric]:
    right = told.argmax(axis=1) == np.array(truth)
    interval = wilson_interval(int(right.sum()), len(right))
    return {
        "n": Metric(value=float(len(right))),
        "accuracy": Metric(value=float(right.mean()), low=interval.low, high=interval.high),
        "ece": Metric(value=expected_calibration_error(right, told.max(axis=1))),
    }


def _write(
    trainer: _Trainer, out_dir: Path, net: PairHalves, temperatures: Sequence[float],
    metrics: dict[str, dict[str, Metric]], torch_program: bool,
) -> None:  # fmt: skip
    config = trainer.config
    out_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(config.encoder) / VOCABULARY, out_dir / VOCABULARY)
    rows = [{"pieces": pieces[None]} for pieces in trainer.pieces(trainer.dev[:64])]
    example = {"pieces": torch.full((2, 7), 3, dtype=torch.int64)}
    export_onnx(net, example, {"logits": (0,)}, out_dir / NETWORK)
    trained = {f"{SETS[kind].name}.train": 0 for kind in KINDS}
    for pair in trainer.seen:
        trained[f"{SETS[KINDS[pair.kind]].name}.train"] += 1
    read = {name: count(trainer.data_dir, name) for name in PRETRAINED_ON_QUERIES}
    said = ", ".join(
        f"{SETS[kind].name} {float(net.shares[0, columns.start]):.2f}"
        for kind, columns in zip(KINDS, COLUMNS, strict=True)
    )
    write_artifact(
        out_dir,
        Manifest(
            name="relevance",
            version=1,
            task="relevance",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[TensorSpec(name="pieces", dtype="int64", shape=[-1, -1])],
            outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, CLASSES])],
            heads=[
                Head(
                    code=kind,
                    zh=SETS[kind].zh,
                    en=SETS[kind].en,
                    output="logits",
                    labels=[
                        Label(code=code, zh=zh, en=en)
                        for code, (zh, en) in SETS[kind].labels.items()
                    ],
                    calibration=Calibration(temperature=temperature),
                )
                for kind, temperature in zip(KINDS, temperatures, strict=True)
            ],
            preprocessing={"first": config.first, "longest": config.longest},
            languages=["zh"],
            training_sets=[
                training_set(trainer.data_dir, name, n) for name, n in (read | trained).items()
            ],
            metrics=metrics,
            parity=parity(net, OnnxBackend(out_dir / NETWORK, threads=1), rows, "logits"),
            files={},
            notes=[
                "All sets but the three of pairs were read without labels.",
                f"What the linear half says, of 1: {said}.",
            ],
        ),
        _SECTIONS,
        others=(VOCABULARY,),
    )
    if torch_program:
        add_program(out_dir, unfolded(net), example, rows)
