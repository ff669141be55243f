"""Fits the department model: data to rows, the base, the adapted step, held-out scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress
from scipy import sparse

from knowledge_base.lexicon.departments import taxonomy
from models.text.ngrams import NgramFeaturiser
from training.text import department_data as data
from training.text.department_config import DepartmentConfig
from training.text.department_reader import ReaderTrainer
from training.text.linear import Adapted, Names, cross_fit, fit, fit_adapted, row_weights
from training.text.readers import rows, text_of
from training.text.sparse import (
    Floats,
    Rows,
    count_matrix,
    inverse_document_frequency,
    tf_idf,
)
from training.text.text_reader import TextReader

SMOKE_ROWS = 300


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
            *data.complaints(self.config.seed),
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


def folds_of(labels: Rows, folds: int, seed: int) -> Rows:
    """A fold per row, so that every department is spread over all folds."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    found = np.empty(len(labels), dtype=np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


class EncoderHalf:
    """The encoder's half on the same examples: its base, adaptations and held-out scores."""

    def __init__(self, trainer: Trainer, progress: Progress) -> None:
        self._trainer, self._progress = trainer, progress
        config = trainer.config
        self.readers = ReaderTrainer(
            config.encoder, trainer.featuriser, len(trainer.codes), config.seed
        )
        self._base = self.readers.base(trainer.known, trainer.corpus.labels, progress)

    def adapt(self, seen: Rows) -> TextReader:
        """Step 2 with the consults `seen`."""
        known, consults = self._trainer.corpus, self._trainer.consults
        examples = [*known.examples, *(consults.examples[i] for i in seen)]
        labels = np.concatenate([known.labels, consults.labels[seen]])
        return self.readers.adapted(self._base, examples, labels, self._progress)

    def held_out(self, folds: Rows) -> Floats:
        """Scores [N, C] of every consult by a reader that did not see its fold."""
        consults = self._trainer.consults.examples
        scores = np.zeros((len(consults), len(self._trainer.codes)), dtype=np.float32)
        for fold in np.unique(folds):
            net = self.adapt(np.flatnonzero(folds != fold))
            out = np.flatnonzero(folds == fold)
            scores[out] = self.readers.scores(net, [consults[i] for i in out])
        return scores


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of rows that the adapted step did not see, nor the base.

    `consults` [N, C] with the `folds` [N] that they were left out in; `internal` [M, C] of the
    titled internal consults, which are the rows `internal_rows` [M] of the corpus.
    """

    consults: Floats
    folds: Rows
    internal: Floats
    internal_rows: Rows


def held_out_scores(trainer: Trainer, progress: Progress) -> HeldOutScores:
    """Cross-validation; the base never learns from consults, and its own rows are cross-fitted."""
    config = trainer.config
    fold_of = folds_of(trainer.consults.labels, config.folds, config.seed)
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
    return HeldOutScores(scores, fold_of, inner, titled)
