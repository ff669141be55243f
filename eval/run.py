"""Runs a benchmark on a file: the one entry point of this room, behind `fenzhen eval`.

Writes the report that was asked for and nothing else; never trains, never reads a label as input.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eval import (
    acuity,
    crisis,
    department,
    disposition,
    findings,
    foreign,
    guidelines,
    imaging,
    intent,
    interview,
    relevance,
    retrieval,
)
from eval.answers import bench as answers
from eval.readers import Line, read_images, read_lines
from eval.report import write_report
from eval.result import BenchmarkError, BenchmarkResult, Scored
from models.errors import ModelError
from models.repository import ModelRepository

__all__ = ["BENCHES", "BenchmarkError", "BenchmarkResult", "run"]

_SCORERS: Mapping[str, Callable[[Sequence[Line], ModelRepository], Scored]] = {
    "acuity": acuity.score,
    "crisis": crisis.score,
    "disposition": disposition.score,
    "findings": findings.score,
    "guidelines": guidelines.score,
    "intent": intent.score,
    "interview": interview.score,
    "relevance": relevance.score,
}
BENCHES = tuple(sorted((*_SCORERS, "answers", "department", "foreign", "imaging", "retrieval")))


def run(
    bench: str,
    data: Path,
    *,
    task: str | None = None,
    text_only: bool = False,
    stress: bool = False,
    report: Path | None = None,
    repository: ModelRepository | None = None,
) -> BenchmarkResult:
    """Run one of `BENCHES` on a file and write a Markdown `report` where one is wanted.

    task: the imaging model's name. text_only: department without titles. stress: imaging under
    every acquisition stress too. repository: `evaluated_models` by default. Raises
    BenchmarkError with one sentence for whatever makes it impossible.
    """
    _check_options(bench, task, text_only, stress)
    began = time.perf_counter()
    try:
        scored = _score(bench, data, task, text_only, stress, repository or evaluated_models())
    except ModelError as error:
        raise BenchmarkError(str(error)) from error
    result = BenchmarkResult(bench, str(data), scored, time.perf_counter() - began)
    if report is not None:
        try:
            write_report(result, report)
        except OSError as error:
            raise BenchmarkError(f"cannot write the report {report}: {error.strerror}") from error
    return result


def evaluated_models() -> ModelRepository:
    """The shipped models, those under research-only terms too: evaluation is research."""
    return ModelRepository(allow_noncommercial=True)


def _check_options(bench: str, task: str | None, text_only: bool, stress: bool) -> None:
    if bench not in BENCHES:
        raise BenchmarkError(f"no benchmark {bench!r}; there are {', '.join(BENCHES)}")
    if bench in ("imaging", "foreign") and task is None:
        raise BenchmarkError(f"{bench} needs --task with the name of an imaging model")
    if bench not in ("imaging", "foreign") and task is not None:
        raise BenchmarkError("--task is for imaging and foreign only")
    if bench != "imaging" and stress:
        raise BenchmarkError("--stress is for imaging only")
    if bench != "department" and text_only:
        raise BenchmarkError("--text-only is for department only")


def _score(
    bench: str,
    data: Path,
    task: str | None,
    text_only: bool,
    stress: bool,
    repository: ModelRepository,
) -> Scored:
    if bench == "imaging":
        return imaging.score(read_images(data), data.name, task or "", repository, stress=stress)
    if bench == "foreign":
        return foreign.score(data, task or "", repository)
    if bench == "answers":
        return answers.score(data, repository)
    if bench == "retrieval":
        return retrieval.score(data, repository)
    lines = read_lines(data)
    if bench == "department":
        return department.score(lines, repository, text_only=text_only)
    return _SCORERS[bench](lines, repository)
