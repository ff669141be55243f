"""The acuity benchmark: does the answer agree with the expert's level, and who is put too low?

Runs the whole task, floors and model, on every row of KTAS visits or ESI cases; the field that
holds the truth picks the scale. Under- and over-triage stand side by side: a safety rate alone is
won by escalating everybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.classes import confusion
from eval.estimates import Estimate, share
from eval.progress import track
from eval.readers import Line
from eval.result import BenchmarkError, Details, Miss, Scored
from eval.training_sets import learned_from
from knowledge_base.rules.acuity_scales import acuity_scales
from models.backends.onnx import OnnxBackend
from models.metrics import bootstrap_interval, quadratic_kappa
from models.repository import ModelRepository
from models.tasks.acuity import AcuityTask
from models.tasks.base import run_alone
from models.triage.acuity_request import Scale
from models.triage.acuity_visits import TRUTH, visit_request

SEVERE = 2
"""Levels too low from which an under-triage is severe."""


@dataclass(frozen=True)
class Answered:
    """A row with the expert's level, the answer, and what set it."""

    row: str
    truth: int
    level: int
    decided_by: str = ""

    @property
    def too_low(self) -> int:
        """By how many levels the answer is less urgent than the truth; negative: more urgent."""
        return self.level - self.truth


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Grade every line; raises BenchmarkError for a line without a level or a complaint."""
    field = next((name for name in TRUTH if name in lines[0].values), None)
    if field is None:
        raise BenchmarkError(f"{lines[0].file}: no row has {' or '.join(map(repr, TRUTH))}")
    scale = TRUTH[field]
    known = acuity_scales()[scale]
    entry = repository.get(known.model)
    task, backend = AcuityTask(entry.manifest), OnnxBackend(entry.network)
    answers = []
    versions: dict[str, str] = {}
    for line in track(lines, len(lines), "acuity"):
        truth = _truth(line, field, known.lowest)
        try:
            request = visit_request(line.values)
        except ValueError:
            # The message would quote the patient's words: only the line goes out.
            raise line.fault("not a valid visit") from None
        result = run_alone(task, backend, task.read(request, scale))
        versions = result.versions
        answers.append(Answered(line.id, truth, result.acuity.level, result.decided_by.id))
    return Scored(
        n=len(answers),
        estimates=estimates(answers),
        models={entry.manifest.name: entry.manifest.version, **versions},
        details=_details(answers, scale, learned_from(entry.manifest, lines[0].file)),
    )


def _truth(line: Line, field: str, lowest: int) -> int:
    value = line.values.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= lowest:
        raise line.fault(f"{field!r} must be 1 to {lowest}")
    return value


def estimates(answers: Sequence[Answered]) -> dict[str, Estimate]:
    """Every metric; shares with Wilson's interval, kappa with a bootstrap over rows."""
    truth = np.asarray([a.truth for a in answers])
    level = np.asarray([a.level for a in answers])
    interval = bootstrap_interval(
        lambda rows: quadratic_kappa(truth[rows], level[rows]), len(answers), samples=1000
    )
    return {
        "accuracy": share([a.too_low == 0 for a in answers]),
        "quadratic_kappa": Estimate(quadratic_kappa(truth, level), interval.low, interval.high),
        "under_triage": share([a.too_low > 0 for a in answers]),
        "over_triage": share([a.too_low < 0 for a in answers]),
        "severe_under_triage": share([a.too_low >= SEVERE for a in answers]),
    }


def _details(answers: Sequence[Answered], scale: Scale, warnings: tuple[str, ...]) -> Details:
    levels = [str(level) for level in acuity_scales()[scale].levels]
    counts = Counter(str(a.truth) for a in answers)
    floors = sum(a.decided_by != acuity_scales()[scale].model for a in answers)
    worst = sorted(
        (a for a in answers if a.too_low > 0), key=lambda a: (-a.too_low, a.truth, a.row)
    )
    return Details(
        data=(f"Scale {scale}. " + ", ".join(f"{counts[n]} of level {n}" for n in levels) + ".",),
        method=(
            "Each row goes through the acuity task: findings, red flags, scores and presentations, "
            "the model's level of least expected cost, then the floors, which only raise.",
            "under_triage is an answer less urgent than the expert's, over_triage a more urgent "
            f"one, severe_under_triage {SEVERE} levels too low or more.",
            f"Floors or caution set {floors} of {len(answers)} answers.",
        ),
        warnings=warnings,
        confusion=confusion(
            [str(a.truth) for a in answers], [str(a.level) for a in answers], levels, levels
        ),
        misses=tuple(Miss(a.row, str(a.truth), str(a.level), a.decided_by) for a in worst),
        misses_title="Every under-triaged row, the worst first, with what set its level",
    )
