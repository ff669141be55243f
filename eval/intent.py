"""The intent benchmark: what does a question to a medical service ask for (KUAKE-QIC)?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from eval.classes import class_scores, confusion, macro_f1_of
from eval.estimates import Rows, bootstrapped, share
from eval.progress import track
from eval.readers import Line
from eval.result import Details, Miss, Scored
from eval.training_sets import learned_from
from knowledge_base.lexicon.intents import intents
from models.backends.onnx import OnnxBackend
from models.repository import ModelRepository
from models.tasks.base import run_alone
from models.tasks.intent import IntentTask

_MOST_MISSES = 25


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Score every line; raises BenchmarkError for one without query or label."""
    truths = [line.text("label") for line in lines]
    texts = [line.text("query") for line in lines]
    names = {code: name["zh"] for code, name in intents().items()}
    entry = repository.get(IntentTask.model)
    task = IntentTask(entry.manifest, entry.folder)
    backend = OnnxBackend(entry.network)
    answers, sure = [], []
    for text in track(texts, len(texts), "intent"):
        code, probability = run_alone(task, backend, text)[0]
        answers.append(names[code])
        sure.append(probability)
    labels = sorted({*truths, *names.values()})
    truth, given = (np.array([labels.index(x) for x in row]) for row in (truths, answers))
    wrong = sorted(np.flatnonzero(truth != given).tolist(), key=lambda i: -sure[i])

    def macro_f1(rows: Rows) -> float:
        return macro_f1_of(truth[rows], given[rows], sorted(set(truth.tolist())))

    counts = Counter(truths)
    return Scored(
        n=len(lines),
        estimates={
            "accuracy": share(truth == given),
            "macro_f1": bootstrapped(macro_f1, len(lines)),
        },
        models={IntentTask.model: entry.manifest.version},
        details=Details(
            data=(f"{len(lines)} queries, {len(counts)} labels.",),
            method=("The most probable intent of the intent model, for every row.",),
            warnings=(
                *learned_from(entry.manifest, lines[0].file),
                *(
                    f"The model knows no label {label} ({counts[label]} rows): counted as wrong."
                    for label in sorted(counts.keys() - names.values())
                ),
            ),
            confusion=confusion(truths, answers, labels, labels),
            classes=class_scores(truths, answers, labels),
            misses=tuple(
                Miss(lines[i].id, truths[i], answers[i], f"probability {sure[i]:.2f}")
                for i in wrong[:_MOST_MISSES]
            ),
            misses_title="Worst errors: wrong answers, the most confident first",
        ),
    )
