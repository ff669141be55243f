"""Trains the bilingual text embedding and writes its folder of the model repository.

    fenzhen train embedding --out OUT

A bag of hashed n-grams, contrastive (InfoNCE, van den Oord et al. 2018) over pairs of texts that
mean the same or answer each other, negatives from the batch; a batch holds pairs of one source,
so that a text cannot be told from its negatives by its language or style.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.progress import Progress

from models.backends.onnx import OnnxBackend
from models.manifest import Manifest, Metric, TensorSpec
from models.text.ngrams import NgramFeaturiser
from training.export import NETWORK, export_onnx, parity, write_artifact
from training.text.bag import HashedBag
from training.text.pairs import READERS, Pair
from training.text.readers import rows, text_of, training_set
from training.text.retrieval import encode, ranks, recall, similarity_auc
from training.text.stored import Floats

SMOKE_ROWS = 200


class Source(BaseModel):
    """A source's share of the batches, and the temperature of its similarities.

    Names of one thing are closer than a question and its answer, so they bear a softer target.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    share: float
    temperature: float


class EmbeddingConfig(BaseModel):
    """`training/configs/embedding.yaml`; each field's comment there says why."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    seed: int
    threads: int
    buckets: int
    dimension: int
    max_characters: int
    longest_run: int
    features_per_text: int
    sources: dict[str, Source]
    batch: int
    steps: int
    learning_rate: float
    dropped: float
    spread: float
    title: dict[str, str]


@dataclass(frozen=True)
class Bags:
    """Texts as rows of hashed features: ids and tf-idf weights, `starts` [N + 1]."""

    ids: NDArray[np.int64]
    weights: Floats
    starts: NDArray[np.int64]


def featurise(texts: Sequence[str], featuriser: NgramFeaturiser) -> Bags:
    """The features of every text, flat."""
    rows = [featuriser(text) for text in texts]
    starts = np.cumsum([0, *(len(ids) for ids, _ in rows)])
    return Bags(
        np.concatenate([ids for ids, _ in rows]), np.concatenate([w for _, w in rows]), starts
    )


def _sampled(bags: Bags, rows: NDArray[np.int64], most: int, rng: np.random.Generator) -> tuple[
    torch.Tensor, torch.Tensor, torch.Tensor
]:  # fmt: skip
    """Ids, weights and offsets of a batch; a text keeps at most `most` features, at random."""
    chosen, offsets, total = [], [], 0
    for row in rows:
        begin, end = int(bags.starts[row]), int(bags.starts[row + 1])
        span = np.arange(begin, end)
        if end - begin > most:
            span = rng.choice(span, most, replace=False)
        offsets.append(total)
        total += len(span)
        chosen.append(span)
    flat = np.concatenate(chosen)
    return (
        torch.from_numpy(bags.ids[flat]),
        torch.from_numpy(bags.weights[flat]),
        torch.tensor(offsets),
    )


def fit(
    bags: Bags, members: Mapping[str, NDArray[np.int64]], twins: NDArray[np.int64],
    config: EmbeddingConfig, steps: int,
) -> Floats:  # fmt: skip
    """The learned table [buckets, dimension].

    `bags` rows 2i and 2i + 1 are the two texts of pair i; `members` lists pairs by source.
    Pairs of one number in `twins` [pairs] have the same right-hand text, which is then no negative.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    table = torch.nn.EmbeddingBag(config.buckets, config.dimension, mode="sum", sparse=True)
    torch.nn.init.normal_(table.weight, std=config.spread * config.dimension**-0.5)
    table.to(device)
    solver = torch.optim.Adagrad(table.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(solver, lambda s: max(0.05, 1 - s / steps))
    sources = [s for s in config.sources if len(members[s])]
    share = np.array([config.sources[s].share for s in sources])
    with Progress() as progress:
        bar = progress.add_task("embedding", total=steps)
        for _ in range(steps):
            source = sources[rng.choice(len(sources), p=share / share.sum())]
            rows = members[source]
            batch = rng.choice(rows, min(config.batch, len(rows)), replace=False)
            sides = []
            for side in (0, 1):
                ids, weights, offsets = _sampled(
                    bags, 2 * batch + side, config.features_per_text, rng
                )
                weights = weights * (torch.rand(len(weights)) >= config.dropped)
                summed = table(ids.to(device), offsets.to(device), weights.to(device))
                sides.append(torch.nn.functional.normalize(summed, dim=1))
            scores = sides[0] @ sides[1].T / config.sources[source].temperature
            alike = twins[batch][:, None] == twins[batch][None]
            np.fill_diagonal(alike, val=False)
            scores = scores.masked_fill(torch.from_numpy(alike).to(device), -torch.inf)
            target = torch.arange(len(batch), device=device)
            loss = torch.nn.functional.cross_entropy(scores, target)
            loss = (loss + torch.nn.functional.cross_entropy(scores.T, target)) / 2
            solver.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()
            schedule.step()
            progress.update(bar, advance=1, description=f"embedding, loss {loss.item():.3f}")
    learned: Floats = table.weight.detach().cpu().numpy()
    return learned


def _measure(
    backend: OnnxBackend, featuriser: NgramFeaturiser, pairs: Mapping[str, list[Pair]],
    data_dir: Path, limit: int | None,
) -> dict[str, dict[str, Metric]]:  # fmt: skip
    """Recall of held-out pairs among every right-hand side of their source, and CHIP-STS."""
    metrics: dict[str, dict[str, Metric]] = {}
    for source, found in pairs.items():
        queries = [i for i, pair in enumerate(found) if pair.held_out]
        if not queries:
            continue
        places: dict[str, int] = {}  # several pairs may share a right-hand text
        wanted = [places.setdefault(pair.right, len(places)) for pair in found]
        left = encode(backend, featuriser.tensors, [found[i].left for i in queries], "embedding")
        right = encode(backend, featuriser.tensors, list(places), "embedding")
        there = ranks(left, right, np.array([wanted[i] for i in queries]))
        metrics[source] = {"recall_at_1": recall(there, 1), "recall_at_10": recall(there, 10)}
        if source == "hpo":
            back = ranks(right[[wanted[i] for i in queries]], encode(
                backend, featuriser.tensors, [p.left for p in found], "embedding"
            ), np.array(queries))  # fmt: skip
            metrics[source]["recall_at_10_en_to_zh"] = recall(back, 10)
        metrics[source]["queries"] = Metric(value=len(queries))
        metrics[source]["candidates"] = Metric(value=len(places))
    judged = list(rows(data_dir, "cblue/CHIP-STS.dev", limit))
    sides = [
        encode(backend, featuriser.tensors, [text_of(r, side) for r in judged], "embedding")
        for side in ("text1", "text2")
    ]
    alike = np.array([int(str(r["label"])) for r in judged])
    metrics["chip_sts_dev"] = {"auc": similarity_auc(sides[0], sides[1], alike)}
    return metrics


SECTIONS = {
    "What it is for": (
        "Finding passages that a question is about, in Chinese and English and across the two, "
        "as one half of hybrid search. Input: hashed n-grams of a text; output: a vector of "
        "length 1, compared by dot product."
    ),
    "What it is not for": (
        "It has no notion of negation or word order beyond three neighbours, and it never decides "
        "anything: a passage it finds is shown with its source or not at all."
    ),
    "How it was measured": (
        "Pairs whose key falls into a fixed twentieth were never trained on. A query is one side "
        "of such a pair; the candidates are the other sides of all pairs of its source. "
        "CHIP-STS dev (read for measuring only) gives the AUC of the cosine."
    ),
}


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, smoke: bool = False
) -> dict[str, object]:
    """Train, export, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few rows and steps, to show that all parts fit together. Raises OSError where
    the data or the configuration is missing.
    """
    config = EmbeddingConfig.model_validate(yaml.safe_load(config_path.read_text(encoding="utf-8")))
    torch.set_num_threads(config.threads)
    limit = SMOKE_ROWS if smoke else None
    buckets = 1 << 12 if smoke else config.buckets
    config = config.model_copy(update={"buckets": buckets, "batch": 32 if smoke else config.batch})
    featuriser = NgramFeaturiser(buckets, config.max_characters, config.longest_run)
    pairs = {name: READERS[name](data_dir, limit) for name in config.sources}
    kept = {name: [p for p in found if not p.held_out] for name, found in pairs.items()}
    flat = [pair for found in kept.values() for pair in found]
    texts = [text for pair in flat for text in (pair.left, pair.right)]
    bags = featurise(texts, featuriser)
    frequency = np.bincount(bags.ids, minlength=buckets)
    idf = (np.log((1 + len(texts)) / (1 + frequency)) + 1).astype(np.float32)
    weighted = Bags(bags.ids, bags.weights * idf[bags.ids], bags.starts)
    members, begin = {}, 0
    for name, found in kept.items():
        members[name] = np.arange(begin, begin + len(found))
        begin += len(found)
    numbers: dict[str, int] = {}
    twins = np.array([numbers.setdefault(pair.right, len(numbers)) for pair in flat])
    table = fit(weighted, members, twins, config, 5 if smoke else config.steps)
    table[0] = 0.0

    out_dir.mkdir(parents=True, exist_ok=True)
    net = HashedBag(table, idf)
    example = {"ids": torch.zeros(2, 3, dtype=torch.int64), "weights": torch.zeros(2, 3)}
    export_onnx(net, example, {"embedding": (0,)}, out_dir / NETWORK)
    backend = OnnxBackend(out_dir / NETWORK, threads=config.threads)
    sample = [featuriser.tensors(text) for text in texts[:: max(1, len(texts) // 64)]]
    metrics = _measure(backend, featuriser, pairs, data_dir, limit)
    used = Counter(pair.source for pair in flat)
    write_artifact(
        out_dir,
        Manifest(
            name="embedding",
            version=config.version,
            task="embedding",
            title={"zh": config.title["zh"], "en": config.title["en"]},
            inputs=[
                TensorSpec(name="ids", dtype="int64", shape=[-1, -1]),
                TensorSpec(name="weights", dtype="float32", shape=[-1, -1]),
            ],
            outputs=[TensorSpec(name="embedding", dtype="float32", shape=[-1, config.dimension])],
            preprocessing={
                "buckets": buckets,
                "max_characters": config.max_characters,
                "longest_run": config.longest_run,
            },
            languages=["zh", "en"],
            training_sets=[training_set(data_dir, name, n) for name, n in used.items()],
            metrics=metrics,
            parity=parity(net, backend, sample, "embedding"),
            files={},
            notes=["Rows of a training set are pairs made from it."],
        ),
        SECTIONS,
    )
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}
