"""Trains the reranker and writes its folder of the model repository.

    fenzhen train reranker --out OUT

The pretrained encoder reads a question and a passage together and says whether the one answers
the other: the questions beside our cards, each with passages that answer it and with passages that
search finds and that do not (hard negatives, as in Karpukhin et al. 2020), and a part of MedQuAD
and of the encyclopedia, so that it also reads what others write.
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
from torch.nn import functional

from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.yaml_files import read_yaml
from models.backends.onnx import OnnxBackend
from models.calibration import softmax
from models.embedder import HostedEmbedder
from models.manifest import Calibration, Manifest, Metric, TensorSpec
from models.metrics import auc, bootstrap_interval, expected_calibration_error
from models.repository import ModelRepository
from models.tasks.embedding import EmbeddingTask
from models.text.pieces import VOCABULARY, joined
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.calibrate import HeldOut, fit_temperature
from training.text.corpus import PRETRAINED_ON
from training.text.finetune import FitConfig, Pretrained, TextModelConfig, fit, outputs_of
from training.text.pair_reader import PairReader
from training.text.readers import OWN_QUESTIONS, count, training_set
from training.text.reranker_data import Judged, asked_elsewhere, asked_of_cards
from training.text.stored import stored, unfolded
from training.torch_program import add_program

_SMOKE_ROWS = 60
_SECTIONS = {
    "What it is for": (
        "Whether a passage answers a question, in Chinese or English: it sorts the best twenty of "
        "a search, and says which sentences an answer may quote."
    ),
    "What it is not for": (
        "It knows nothing that the passage does not say, states no urgency and no diagnosis, and "
        "reads a question in one language with a passage in the other less well."
    ),
    "How it was measured": (
        "Questions whose text falls into a fixed twentieth were never trained on; their cards "
        "were, with other questions. MedQuAD's are held out by what they are about."
    ),
}


class RerankerConfig(TextModelConfig):
    """`training/configs/reranker.yaml`."""

    question: int
    wrong: dict[str, int]
    depth: int
    pairs: int
    across: float
    medquad: int
    diseases: int
    fit: FitConfig


def train(
    config_path: Path,
    data_dir: Path,
    out_dir: Path,
    *,
    smoke: bool = False,
    torch_program: bool = False,
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few questions and one epoch, to show that all parts fit. Negatives are drawn with
    the embedding model of the repository.
    """
    config = RerankerConfig.model_validate(read_yaml(config_path))
    if smoke:
        config = config.model_copy(update={"fit": config.fit.model_copy(update={"epochs": 1})})
    torch.set_num_threads(config.threads)
    seen, held = _rows(config, data_dir, _SMOKE_ROWS if smoke else None)
    pretrained = Pretrained(Path(config.encoder))
    reader = pretrained.reader()

    def pieces(rows: Sequence[Judged]) -> list[NDArray[np.int64]]:
        return [
            joined(
                reader(row.question).ids, reader(row.passage).ids, reader.stop, config.question,
                config.longest,
            )
            for row in rows
        ]  # fmt: skip

    torch.manual_seed(config.seed)
    net = PairReader(pretrained.encoder(config.dropout, config.pairs), reader.stop, 2)
    right = torch.tensor([int(row.right) for row in seen])

    def loss(outputs: Tensor, numbers: NDArray[np.intp]) -> Tensor:
        return functional.cross_entropy(outputs.float(), right[numbers])

    with Progress() as progress:
        task = progress.add_task(f"reranker, {len(seen)} rows", total=1.0)
        rows = pieces(seen)
        best = fit(
            net, net.encoder, rows, loss, config.fit, reader.mask, config.seed, (progress, task)
        )
    small = stored(best)
    held_pieces = pieces(held)
    logits = np.stack([found for (found,) in outputs_of(small, held_pieces)])
    truth = np.array([int(row.right) for row in held])
    temperature = fit_temperature(HeldOut(logits, truth, np.eye(2), 1.0))
    metrics = {"held-out questions": _measured(truth, softmax(logits, temperature)[:, 1])}
    _write(
        config, data_dir, out_dir, small, held_pieces[:64], temperature, metrics, len(seen),
        torch_program=torch_program,
    )  # fmt: skip
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _rows(
    config: RerankerConfig, data_dir: Path, limit: int | None
) -> tuple[list[Judged], list[Judged]]:
    embedder = HostedEmbedder.of(ModelRepository().get(EmbeddingTask.model))
    index = KnowledgeIndex.build(embedder)
    with Progress() as progress:
        bar = progress.add_task("looking for hard negatives", total=limit)
        seen, held = asked_of_cards(
            index, config.wrong, config.depth, config.across, config.seed, limit,
            lambda number: progress.update(bar, completed=number),
        )  # fmt: skip
    sizes = {"medquad": config.medquad, "diseases": config.diseases}
    more, more_held = asked_elsewhere(data_dir, sizes, config.seed, limit)
    return seen + more, held + more_held


def _measured(truth: NDArray[np.int64], sure: NDArray[np.float64]) -> dict[str, Metric]:
    low, high = bootstrap_interval(
        lambda rows: auc(truth[rows], sure[rows]), len(truth), samples=200
    )
    given = sure >= 0.5
    return {
        "rows": Metric(value=float(len(truth))),
        "auc": Metric(value=auc(truth, sure), low=low, high=high),
        "accuracy": Metric(value=float((given == (truth == 1)).mean())),
        "ece": Metric(
            value=expected_calibration_error(given == (truth == 1), np.maximum(sure, 1 - sure))
        ),
    }


def _write(
    config: RerankerConfig, data_dir: Path, out_dir: Path, net: nn.Module,
    sample: Sequence[NDArray[np.int64]], temperature: float, metrics: dict[str, dict[str, Metric]],
    rows: int, *, torch_program: bool,
) -> None:  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(config.encoder) / VOCABULARY, out_dir / VOCABULARY)
    some = [{"pieces": row[None]} for row in sample]
    example = {"pieces": torch.full((2, 7), 3, dtype=torch.int64)}
    export_onnx(net, example, {"logits": (0,)}, out_dir / NETWORK)
    used = {OWN_QUESTIONS: rows} | {name: count(data_dir, name) for name in PRETRAINED_ON}
    write_artifact(
        out_dir,
        Manifest(
            name="reranker",
            version=1,
            task="reranker",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[TensorSpec(name="pieces", dtype="int64", shape=[-1, -1])],
            outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, 2])],
            preprocessing={"question": config.question, "longest": config.longest},
            calibration=Calibration(temperature=temperature),
            languages=["zh", "en"],
            training_sets=[training_set(data_dir, name, n) for name, n in used.items()],
            metrics=metrics,
            parity=parity(
                net,
                OnnxBackend(out_dir / NETWORK, threads=1),
                some,
                "logits",
            ),
            files={},
        ),
        _SECTIONS,
        others=(VOCABULARY,),
    )
    if torch_program:
        add_program(out_dir, unfolded(net), example, some)
