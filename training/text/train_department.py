"""Trains the department model and writes its folder of the model repository.

    python -m training.text.train_department training/configs/department.yaml ../shared/data OUT

The consults of all departments are few (493), so their figures come from cross-validation and
the shipped model learns on all of them. The temperature and the `unsure` threshold come from the
same held-out folds; zh_consult_internal.dev is only measured.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import sparse  # type: ignore[import-untyped]

from knowledge_base.lexicon.departments import crosswalk_for, crosswalks, taxonomy
from models.calibration import Doubles, softmax
from models.manifest import Metric
from models.text.ngrams import NgramFeaturiser
from training.text import department_data as data
from training.text.department_artifact import Outcome, write
from training.text.department_config import DepartmentConfig, read_config
from training.text.department_report import labelled, measure, negative_log_likelihood
from training.text.linear import Adapted, Linear, Names, cross_fit, fit, fit_adapted, row_weights
from training.text.readers import rows, text_of
from training.text.sparse import (
    Floats,
    Rows,
    count_matrix,
    inverse_document_frequency,
    tf_idf,
)

SMOKE_ROWS = 300
_TEMPERATURES = np.geomspace(0.03, 0.6, 40)


@dataclass(frozen=True)
class Corpus:
    """Examples with their rows [N, V], labels [N] and sources [N]."""

    examples: list[data.Example]
    rows: sparse.csr_matrix
    labels: Rows
    sources: Names


class Trainer:
    """One training run: data, the base, the adapted model, held-out scores."""

    def __init__(self, config: DepartmentConfig, data_dir: Path, smoke: bool) -> None:
        self.config = config
        self.data_dir = data_dir
        self.limit = SMOKE_ROWS if smoke else None
        self.codes = list(taxonomy().departments)
        self.featuriser = NgramFeaturiser(config.buckets, config.max_characters, config.longest_run)
        self.dice = np.random.default_rng(config.seed)
        self.known = self._examples()
        self.idf = inverse_document_frequency(count_matrix(self.known, self.featuriser))
        self.corpus = self.corpus_of(self.known)
        self.consults = self.corpus_of(data.consult_all(data_dir, self.limit))

    def _examples(self) -> list[data.Example]:
        views = [
            example
            for example in data.diseases(self.data_dir, self.config.seed, self.limit)
            if self.dice.random() < self.config.kept_views[example.source]
        ]
        return [
            *data.consult_internal(self.data_dir, "train", self.limit),
            *data.dialogues(self.data_dir, self.limit),
            *views,
            *data.seeds(held_out=False),
        ]

    def corpus_of(self, examples: list[data.Example]) -> Corpus:
        """The examples as tf-idf rows."""
        found = tf_idf(count_matrix(examples, self.featuriser), self.idf)
        labels = np.array([self.codes.index(e.code) for e in examples], dtype=np.int64)
        return Corpus(examples, found, labels, np.array([e.source for e in examples]))

    def learn_base(self) -> None:
        """Step 1, also cross-fitted, and the corpus of step 2."""
        step, corpus = self.config.base, self.corpus
        weights = np.array([step.weights[s] for s in corpus.sources], dtype=np.float32)
        classes, seed = len(self.codes), self.config.seed
        self.base = fit(corpus.rows, corpus.labels, weights, classes, step.cost, seed)
        groups = [e.group for e in corpus.examples]
        scores = cross_fit(corpus.rows, corpus.labels, weights, groups, classes, step.cost, seed)
        self.crossed: Floats = scores
        kept = self.config.adapted.kept
        chosen = self.dice.random(len(groups)) < np.array([kept[s] for s in corpus.sources])
        terms = self.corpus_of(self._english_terms())
        self.step_rows = sparse.vstack([corpus.rows[chosen], terms.rows]).tocsr()
        self.step_scores: Floats = np.vstack([scores[chosen], self.base.scores(terms.rows)])
        self.step_labels = np.concatenate([corpus.labels[chosen], terms.labels])
        self.step_sources = np.concatenate([corpus.sources[chosen], terms.sources])
        self.step_groups = np.array(
            [g for g, c in zip(groups, chosen, strict=True) if c] + ["term"] * len(terms.examples)
        )

    def _english_terms(self) -> list[data.Example]:
        """English HPO terms whose Chinese name the base is sure about, with its department."""
        terms = [
            data.Example(text_of(r, "zh"), (), self.codes[0], text_of(r, "en"), text_of(r, "id"))
            for r in rows(self.data_dir, "hpo_zh", self.limit)
        ]
        scores = self.base.scores(self.corpus_of(terms).rows)
        share = self.config.adapted.kept["english_term"]
        return [
            data.Example(term.source, (), self.codes[int(row.argmax())], "english_term", term.group)
            for term, row in zip(terms, scores, strict=True)
            if row.max() > self.config.english_term_margin and self.dice.random() < share
        ]

    def adapt(self, seen: Rows, without: frozenset[str] = frozenset()) -> Adapted:
        """Step 2 with the consults `seen`, and without the rows of some groups."""
        step = self.config.adapted
        mine = np.array([group not in without for group in self.step_groups])
        some = self.consults.rows[seen]
        labels = np.concatenate([self.step_labels[mine], self.consults.labels[seen]])
        sources = np.concatenate([self.step_sources[mine], self.consults.sources[seen]])
        weights = row_weights(labels, sources, step.shares, step.class_balance) * step.rows
        return fit_adapted(
            sparse.vstack([self.step_rows[mine], some]).tocsr(),
            np.vstack([self.step_scores[mine], self.base.scores(some)]),
            labels,
            weights.astype(np.float32),
            step.cost,
            self.config.seed,
        )


def _folds(labels: Rows, folds: int, seed: int) -> Rows:
    """A fold per row, so that every department is spread over all folds."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    found = np.empty(len(labels), dtype=np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


def _held_out(trainer: Trainer, progress: Progress) -> tuple[Floats, Floats, list[str]]:
    """Cross-validated scores of all consults, and of the internal ones with their labels."""
    config = trainer.config
    fold_of = _folds(trainer.consults.labels, config.folds, config.seed)
    scores = np.zeros((len(fold_of), len(trainer.codes)), dtype=np.float32)
    titled = np.flatnonzero(trainer.corpus.sources == "internal")
    part = np.arange(len(titled)) % config.folds
    inner = np.zeros((len(titled), len(trainer.codes)), dtype=np.float32)
    task = progress.add_task("cross-validation", total=config.folds)
    for fold in range(config.folds):
        out = titled[part == fold]
        groups = frozenset(trainer.corpus.examples[i].group for i in out)
        model = trainer.adapt(np.flatnonzero(fold_of != fold), groups)
        consults = trainer.consults.rows[fold_of == fold]
        scores[fold_of == fold] = model.scores(consults, trainer.base.scores(consults))
        inner[part == fold] = model.scores(trainer.corpus.rows[out], trainer.crossed[out])
        progress.advance(task)
    names = {code: label for label, code in crosswalks()["zh_consult_internal"].to_code.items()}
    return scores, inner, [names[trainer.codes[i]] for i in trainer.corpus.labels[titled]]


def _temperature(sets: list[tuple[Floats, list[str]]], codes: list[str]) -> float:
    """The temperature with the lowest mean of the sets' negative log-likelihoods."""

    def loss(temperature: float) -> float:
        return sum(
            negative_log_likelihood(
                labelled(scores, truth, crosswalk_for(set(truth)), codes, temperature)
            )
            for scores, truth in sets
        )

    return float(min(_TEMPERATURES, key=lambda t: loss(float(t))))


@dataclass(frozen=True)
class Unsure:
    """The threshold on the top department's probability, and what it did on held-out consults."""

    threshold: float
    answered: float
    accuracy: float


def _unsure(top: Doubles, right: NDArray[np.bool_], wanted: float) -> Unsure:
    """The lowest threshold on `top` [N] at which the answered reach `wanted` accuracy."""
    for threshold in np.arange(0.05, 0.95, 0.01):
        answered = top >= threshold
        if answered.any() and right[answered].mean() >= wanted:
            return Unsure(
                round(float(threshold), 2), float(answered.mean()), float(right[answered].mean())
            )
    return Unsure(0.95, 0.0, 0.0)


def _seed_metrics(model: Linear, trainer: Trainer) -> dict[str, dict[str, Metric]]:
    """Accuracy and top 3 over all codes on our own held-out phrases, by language."""
    corpus = trainer.corpus_of(data.seeds(held_out=True))
    order = np.argsort(-model.scores(corpus.rows), axis=1)
    found = {}
    for language in ("zh", "en"):
        mine = corpus.sources == f"seed_{language}"
        truth = corpus.labels[mine][:, None]
        found[f"own_phrases_{language}"] = {
            "n": Metric(value=int(mine.sum())),
            "accuracy": Metric(value=float((order[mine][:, :1] == truth).any(axis=1).mean())),
            "top3": Metric(value=float((order[mine][:, :3] == truth).any(axis=1).mean())),
        }
    return found


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, smoke: bool = False
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few hundred rows of every set and a small table, to show that all parts fit.
    Raises OSError where the data or the configuration is missing.
    """
    config = read_config(config_path)
    if smoke:
        config = config.model_copy(update={"buckets": 1 << 12, "folds": 2})
    with Progress() as progress:
        stage = progress.add_task("reading", total=4)
        trainer = Trainer(config, data_dir, smoke)
        progress.update(stage, advance=1, description="base")
        trainer.learn_base()
        progress.update(stage, advance=1, description="cross-validation")
        held, inner, inner_truth = _held_out(trainer, progress)
        truth = [
            text_of(r, "department") for r in rows(data_dir, "zh_consult_all.dev", trainer.limit)
        ]
        temperature = _temperature([(held, truth), (inner, inner_truth)], trainer.codes)
        progress.update(stage, advance=1, description="final model")
        model = trainer.adapt(np.arange(len(truth))).merged(trainer.base)
        progress.update(stage, advance=1, description="written")

    crossed = labelled(held, truth, crosswalk_for(set(truth)), trainer.codes, temperature)
    top = softmax(held, temperature).max(axis=1)
    unsure = _unsure(top, crossed.guess == crossed.truth, config.answered_accuracy)
    metrics = {"zh_consult_all.dev 5-fold cross-validation": measure(crossed)}
    dev = trainer.corpus_of(data.consult_internal(data_dir, "dev", trainer.limit))
    walk = crosswalks()["zh_consult_internal"]
    names = {code: label for label, code in walk.to_code.items()}
    for source, title in (("internal", "title and text"), ("internal_text", "text only")):
        mine = dev.sources == source
        labels = [names[trainer.codes[i]] for i in dev.labels[mine]]
        bound = crosswalk_for(set(walk.to_code))
        found = labelled(model.scores(dev.rows[mine]), labels, bound, trainer.codes, temperature)
        metrics[f"zh_consult_internal.dev {title}"] = measure(found)
    metrics |= _seed_metrics(model, trainer)
    metrics["threshold unsure"] = {
        "share_answered": Metric(value=unsure.answered),
        "accuracy_answered": Metric(value=unsure.accuracy),
    }
    write(
        out_dir,
        Outcome(config, model, trainer.idf, temperature, unsure.threshold, metrics,
                [*trainer.known, *trainer.consults.examples]),
        data_dir,
    )  # fmt: skip
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    print(train(given.config, given.data, given.out, smoke=given.smoke))


if __name__ == "__main__":
    main()
