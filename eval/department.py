"""The department benchmark: which department of the file's label set does the model name?

The words go to the department model with the findings in them, as in the triage task, and what
they say of age, sex and pregnancy routes the answer where the file has a label for children; then
the file's crosswalk turns our codes into its labels. The emergency and "unsure" overrides of
triage are left out: the file's labels know none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.classes import class_scores, confusion, macro_f1_of
from eval.estimates import Rows, bootstrapped, share
from eval.progress import track
from eval.readers import Line
from eval.result import Details, Miss, Scored
from eval.training_sets import learned_from
from knowledge_base.lexicon.departments import Crosswalk, crosswalk_for
from knowledge_base.lexicon.findings import lexicon
from models.backends.onnx import OnnxBackend
from models.metrics import Statistic, expected_calibration_error
from models.repository import ModelRepository
from models.tasks.base import run_alone
from models.tasks.department import DepartmentRequest, DepartmentTask
from models.triage.case import CaseReader
from models.triage.model_inputs import department_request
from models.triage.request import TriageRequest
from models.triage.routing import route

MODEL = "department"
COMMON = 10
"""Rows from which a class counts for macro_f1_at_least_10."""
_MOST_MISSES = 25
_FOR_CHILDREN = "general_paediatrics"


@dataclass(frozen=True)
class _Answer:
    """One row: the truth and the file's known labels, the most probable first."""

    row: str
    truth: str
    ranked: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        return self.ranked[0][0]


def score(lines: Sequence[Line], repository: ModelRepository, *, text_only: bool) -> Scored:
    """Score every line; raises BenchmarkError for a line without text or department."""
    truths = [line.text("department") for line in lines]
    texts = [_text(line, text_only) for line in lines]
    try:
        crosswalk = crosswalk_for(set(truths))
    except ValueError as error:
        raise lines[0].fault("no crosswalk knows any department of this file") from error
    entry = repository.get(MODEL)
    task, backend = DepartmentTask(entry.manifest, entry.folder), OnnxBackend(entry.network)
    reader = CaseReader(lexicon())
    routed = crosswalk.label_of(_FOR_CHILDREN) is not None
    answers = []
    for line, truth, text in track(
        zip(lines, truths, texts, strict=True), len(lines), "department"
    ):
        case = reader.read(TriageRequest(text=text)) if text else None
        request = DepartmentRequest("") if case is None else department_request(case, lexicon())
        found = {d.code: d.probability for d in run_alone(task, backend, request)}
        if case is not None and routed:
            found = route(found, case.facts)
        ranked = crosswalk.to_label(found)
        answers.append(_Answer(line.id, truth, tuple(ranked)))
    warnings = (*learned_from(entry.manifest, lines[0].file), *_unknown_labels(crosswalk, truths))
    return _scored(answers, crosswalk, text_only, entry.manifest.version, warnings)


def _text(line: Line, text_only: bool) -> str:
    title = "" if text_only else line.text("title", optional=True)
    return "\n".join(part for part in (title, line.text("text")) if part)


def _scored(
    answers: Sequence[_Answer],
    crosswalk: Crosswalk,
    text_only: bool,
    version: int,
    warnings: tuple[str, ...],
) -> Scored:
    labels = sorted(crosswalk.labels)
    counts = Counter(a.truth for a in answers)
    index = {label: i for i, label in enumerate(labels)}
    truth = np.array([index[a.truth] for a in answers], dtype=np.int64)
    given = np.array([index[a.label] for a in answers], dtype=np.int64)
    claimed = np.array([a.ranked[0][1] for a in answers])
    everything = list(index.values())
    common = [index[label] for label in labels if counts[label] >= COMMON]

    def macro(classes: list[int]) -> Statistic:
        def statistic(rows: Rows) -> float:
            return macro_f1_of(truth[rows], given[rows], classes)

        return statistic

    def ece(rows: Rows) -> float:
        return expected_calibration_error(truth[rows] == given[rows], claimed[rows])

    n = len(answers)
    estimates = {
        "accuracy": share(truth == given),
        "macro_f1": bootstrapped(macro(everything), n),
        "macro_f1_at_least_10": bootstrapped(macro(common), n),
        "top3": share([a.truth in [label for label, _ in a.ranked[:3]] for a in answers]),
        "ece": bootstrapped(ece, n),
    }
    names = [labels[i] for i in given]
    return Scored(
        n=n,
        estimates=estimates,
        models={MODEL: version, "lexicon": lexicon().version},
        details=Details(
            data=(f"{n} rows, {len(labels)} labels, crosswalk `{crosswalk.name}`.",),
            method=(
                "Input: " + ("the text alone." if text_only else "title (where given) and text."),
                "Probabilities over our departments are summed into the file's labels and "
                "renormalised; age and sex routing plays no part.",
                f"macro_f1 is over all labels, macro_f1_at_least_10 over those with {COMMON} rows "
                "or more; ece is the debiased l2 error over 15 bins of equal mass.",
            ),
            warnings=warnings,
            confusion=confusion([a.truth for a in answers], names, labels, labels),
            classes=class_scores([a.truth for a in answers], names, labels),
            misses=_misses(answers),
            misses_title="Worst errors: wrong answers, the most confident first",
        ),
    )


def _unknown_labels(crosswalk: Crosswalk, truths: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(truths)
    return tuple(
        f"No crosswalk knows the label {label} ({counts[label]} rows): counted as wrong."
        for label in sorted(crosswalk.unknown)
    )


def _misses(answers: Sequence[_Answer]) -> tuple[Miss, ...]:
    wrong = sorted((a for a in answers if a.truth != a.label), key=lambda a: -a.ranked[0][1])
    return tuple(
        Miss(a.row, a.truth, a.label, f"probability {a.ranked[0][1]:.2f}")
        for a in wrong[:_MOST_MISSES]
    )
