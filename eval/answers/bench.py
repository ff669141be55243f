"""The answers benchmark: which candidate answers are right, and which is the best (MEDIQA 2019)?

    {"question", "answers": [{"text", "score"}]}      score 1 to 4, 3 and 4 are relevant

A logistic regression over features of question and answer is fitted here, on the training part
of the set, and thrown away: the set is for evaluation. `score` is only a label; `rank` and
`system_rank` are never read, nor is the order of the answers, which is that of `system_rank`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.answers.collection import hosted_judge
from eval.answers.features import features
from eval.answers.folds import FOLDS, folds
from eval.answers.logistic import Logistic, fit
from eval.answers.texts import Pool
from eval.estimates import Rows, bootstrapped, share
from eval.readers import Line, read_lines
from eval.result import BenchmarkError, Details, Miss, Scored
from eval.training_sets import learned_from
from models.embedder import HostedEmbedder
from models.metrics import Statistic
from models.repository import ModelRepository
from models.tasks.embedding import EmbeddingTask
from models.tasks.reranker import RerankerTask

TRAINING = ("mediqa2019_qa.train.jsonl.gz", "mediqa2019_qa.train.jsonl")
_RELEVANT = 3
_HELD_OUT = frozenset({"dev", "test", "val", "validation"})
_MOST_MISSES = 25

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """A question with its answers, and which of them people found relevant."""

    row: str
    pool: Pool
    relevant: tuple[bool, ...]


def score(data: Path, repository: ModelRepository) -> Scored:
    """Score a file: out of five folds where it is the training part or there is no other, else by
    what is learned on the training part beside it or in FENZHEN_DATA."""
    asked = read(read_lines(data))
    training = _training(data)
    seen = read(read_lines(training)) if training else []
    known = {judged.pool.question for judged in asked}
    fitted_on = [judged for judged in seen if judged.pool.question not in known]
    entry = repository.get(EmbeddingTask.model)
    reranker = hosted_judge(repository)
    names, found = features(
        [judged.pool for judged in (*asked, *fitted_on)],
        HostedEmbedder.of(entry),
        reranker[0] if reranker else None,
    )
    mine, theirs = found[: len(asked)], found[len(asked) :]
    if training:
        sure, part = _by_training(mine, theirs, fitted_on), None
        how = (
            f"Fitted on {len(fitted_on)} questions of {training.name}"
            f" ({len(seen) - len(fitted_on)} left out because the file asks them too), then"
            " evaluated on the file."
        )
    else:
        sure, part = _out_of_folds(mine, asked)
        how = (
            f"Fitted in {FOLDS} folds by question, scored out of them; questions that share a"
            " third of their answers stay in one fold."
        )
    models: dict[str, int | str] = {EmbeddingTask.model: entry.manifest.version}
    if reranker:
        models[RerankerTask.model] = reranker[1].manifest.version
    entries = [entry, reranker[1]] if reranker else [entry]
    warnings = tuple(w for e in entries for w in learned_from(e.manifest, data.name))
    return _scored(asked, sure, part, how, len(names), models, warnings)


def read(lines: Sequence[Line]) -> list[Judged]:
    """The questions of a file; raises BenchmarkError naming the line that is none."""
    return [_judged(line) for line in lines]


def _judged(line: Line) -> Judged:
    question, answers = line.text("question"), line.values.get("answers")
    if not question:
        raise line.fault("'question' is empty")
    if not isinstance(answers, list) or not answers:
        raise line.fault("'answers' must be a list of at least one")
    texts, relevant = [], []
    for number, answer in enumerate(answers, start=1):
        if not isinstance(answer, dict):
            raise line.fault(f"answer {number} must be an object")
        text, grade = answer.get("text"), answer.get("score")
        if not isinstance(text, str):
            raise line.fault(f"answer {number}: 'text' must be text")
        if isinstance(grade, bool) or grade not in (1, 2, 3, 4):
            raise line.fault(f"answer {number}: 'score' must be 1, 2, 3 or 4")
        texts.append(text)
        relevant.append(grade >= _RELEVANT)
    return Judged(line.id, Pool(question, tuple(texts)), tuple(relevant))


def _training(data: Path) -> Path | None:
    """The training part for a file; None where the file is one, or is no other part and there is
    no training part to be found."""
    parts = frozenset(data.name.lower().replace("_", ".").replace("-", ".").split("."))
    if "train" in parts:
        return None
    folders = [data.parent]
    if "FENZHEN_DATA" in os.environ:
        folders.append(Path(os.environ["FENZHEN_DATA"]) / "text")
    for path in (folder / name for folder in folders for name in TRAINING):
        if path.is_file():
            return path
    if parts & _HELD_OUT:
        raise BenchmarkError(
            f"{data.name}: no {TRAINING[0]} to learn from, neither beside it nor in the folder"
            " text of FENZHEN_DATA"
        )
    return None


def _by_training(
    mine: Sequence[Matrix], theirs: Sequence[Matrix], fitted_on: Sequence[Judged]
) -> Matrix:
    model = _fit(theirs, fitted_on)
    return model.probabilities(np.concatenate(mine))


def _out_of_folds(
    mine: Sequence[Matrix], asked: Sequence[Judged]
) -> tuple[Matrix, NDArray[np.int64]]:
    """Probabilities of all answers, and the fold of each question."""
    part = folds([judged.pool for judged in asked])
    sure = [np.zeros(len(judged.relevant)) for judged in asked]
    for number in range(FOLDS):
        inside = [i for i in range(len(asked)) if part[i] != number]
        model = _fit([mine[i] for i in inside], [asked[i] for i in inside])
        for i in np.flatnonzero(part == number).tolist():
            sure[i] = model.probabilities(mine[i])
    return np.concatenate(sure), part


def _fit(rows: Sequence[Matrix], judged: Sequence[Judged]) -> Logistic:
    truth = np.array([r for j in judged for r in j.relevant])
    if truth.all() or not truth.any():
        raise BenchmarkError(
            "there is nothing to learn from: relevant and irrelevant answers are needed in at"
            " least two questions that share no answers"
        )
    part = folds([j.pool for j in judged])
    of_row = np.repeat(part, [len(j.relevant) for j in judged])
    return fit(np.concatenate(rows), truth, of_row)


def _scored(
    asked: Sequence[Judged], sure: Matrix, part: NDArray[np.int64] | None, how: str, used: int,
    models: dict[str, int | str], warnings: tuple[str, ...],
) -> Scored:  # fmt: skip
    truth = np.array([r for judged in asked for r in judged.relevant])
    question = np.repeat(np.arange(len(asked)), [len(j.relevant) for j in asked])
    right = (sure >= 0.5) == truth
    places = np.array([_first_relevant(j, sure[question == i]) for i, j in enumerate(asked)])
    reciprocal = np.where(places > 0, 1.0 / np.maximum(places, 1), 0.0)
    missed = [i for i, judged in enumerate(asked) if places[i] != 1 and any(judged.relevant)]
    top = np.array([sure[question == i].max() for i in range(len(asked))])
    missed.sort(key=lambda i: -top[i])
    answerable = sum(any(judged.relevant) for judged in asked)
    return Scored(
        n=len(asked),
        estimates={
            "accuracy": bootstrapped(_mean(right), len(right), groups=question),
            "precision_at_1": share(places == 1),
            "mrr": bootstrapped(_mean(reciprocal), len(asked)),
        },
        models=models,
        details=Details(
            data=(
                f"{len(asked)} questions with {len(truth)} answers, {truth.mean():.1%} relevant;"
                f" {answerable} questions have a relevant answer, so precision_at_1 and mrr"
                f" end at {answerable / len(asked):.3f}.",
            ),
            method=(
                f"A logistic regression over {used} features of question and answer. {how}",
                "The ridge penalty is chosen by the log loss of five folds inside what is fitted.",
                "Relevant is a score of 3 or 4; accuracy is over all answers at probability 0.5.",
                *(_by_fold(part, question, right, places == 1) if part is not None else ()),
            ),
            warnings=warnings,
            misses=tuple(
                Miss(asked[i].row, "another answer", "an irrelevant one first",
                     f"probability {top[i]:.2f}, the first relevant one is at place {places[i]}")
                for i in missed[:_MOST_MISSES]
            ),
            misses_title="Questions with a relevant answer that is not first, the surest first",
        ),
    )  # fmt: skip


def _first_relevant(judged: Judged, sure: Matrix) -> int:
    """Place of the first relevant answer from 1, 0 without one; equals stand by their text, since
    the order of a file tells how the answers were found."""
    texts = judged.pool.answers
    order = sorted(range(len(texts)), key=lambda i: (-sure[i], texts[i]))
    return next((place for place, i in enumerate(order, start=1) if judged.relevant[i]), 0)


def _by_fold(
    part: NDArray[np.int64], question: NDArray[np.int64], right: Flags, first: Flags
) -> tuple[str, ...]:
    numbers = sorted(set(part.tolist()))
    accuracy = [right[part[question] == i].mean() for i in numbers]
    at_one = [first[part == i].mean() for i in numbers]
    return tuple(
        f"{name} by fold: {', '.join(f'{v:.3f}' for v in values)} (standard deviation"
        f" {np.std(values):.3f})."
        for name, values in (("accuracy", accuracy), ("precision_at_1", at_one))
    )


def _mean(values: NDArray[np.generic]) -> Statistic:
    array = values.astype(np.float64)

    def mean(rows: Rows) -> float:
        return float(array[rows].mean())

    return mean
