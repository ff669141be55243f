"""What a benchmark reports whose model gives every line one label with a probability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from eval.classes import class_scores, confusion, macro_f1_of
from eval.estimates import Rows, bootstrapped, share
from eval.readers import Line
from eval.result import Details, Miss, Scored
from eval.training_sets import learned_from
from models.manifest import Manifest

_MOST_MISSES = 25


def scored_labels(
    lines: Sequence[Line],
    truths: Sequence[str],
    answers: Sequence[tuple[str, float]],
    known: Collection[str],
    manifest: Manifest,
    things: str,
    method: str,
) -> Scored:
    """Accuracy and macro-F1 of `answers`, a label and its probability per line.

    `known`: the labels that the model can give. `things`: what the lines are, for the report;
    `method`: how the answers came about.
    """
    given_names = [label for label, _ in answers]
    labels = sorted({*truths, *known})
    truth, given = (np.array([labels.index(x) for x in row]) for row in (truths, given_names))
    wrong = sorted(np.flatnonzero(truth != given).tolist(), key=lambda i: -answers[i][1])

    def macro_f1(rows: Rows) -> float:
        return macro_f1_of(truth[rows], given[rows], sorted(set(truth.tolist())))

    counts = Counter(truths)
    return Scored(
        n=len(lines),
        estimates={
            "accuracy": share(truth == given),
            "macro_f1": bootstrapped(macro_f1, len(lines)),
        },
        models={manifest.name: manifest.version},
        details=Details(
            data=(f"{len(lines)} {things}, {len(counts)} labels.",),
            method=(method,),
            warnings=(
                *learned_from(manifest, lines[0].file),
                *(
                    f"The model knows no label {label} ({counts[label]} rows): counted as wrong."
                    for label in sorted(counts.keys() - set(known))
                ),
            ),
            confusion=confusion(truths, given_names, labels, labels),
            classes=class_scores(truths, given_names, labels),
            misses=tuple(
                Miss(lines[i].id, truths[i], *_shown(answers[i])) for i in wrong[:_MOST_MISSES]
            ),
            misses_title="Worst errors: wrong answers, the most confident first",
        ),
    )


def _shown(answer: tuple[str, float]) -> tuple[str, str]:
    return answer[0], f"probability {answer[1]:.2f}"
