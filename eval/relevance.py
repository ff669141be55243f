"""The relevance benchmark: how two short Chinese texts relate (KUAKE-QTR, KUAKE-QQR, CHIP-STS).

The fields of the rows say which of the three it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.labelled import scored_labels
from eval.progress import track
from eval.readers import Line
from eval.result import Scored
from models.backends.onnx import OnnxBackend
from models.repository import ModelRepository
from models.tasks.base import run_alone
from models.tasks.relevance import Kind, RelevanceRequest, RelevanceTask

FIELDS: Mapping[Kind, tuple[str, str]] = {
    "query_title": ("query", "title"),
    "query_query": ("query1", "query2"),
    "question_question": ("text1", "text2"),
}


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Score every line; raises BenchmarkError for one that lacks a text or a label."""
    kind = _kind(lines[0])
    requests = [_request(line, kind) for line in lines]
    truths = [_label(line) for line in lines]
    entry = repository.get(RelevanceTask.model)
    task = RelevanceTask(entry.manifest, entry.folder)
    backend = OnnxBackend(entry.network)
    answers = []
    for request in track(requests, len(requests), "relevance"):
        found = run_alone(task, backend, request)
        answers.append(max(found.items(), key=lambda item: item[1]))
    return scored_labels(
        lines, truths, answers, task.labels(kind), entry.manifest,
        f"pairs of {' and '.join(FIELDS[kind])}",
        "The most probable label of the relevance model, for every pair alone.",
    )  # fmt: skip


def _kind(line: Line) -> Kind:
    for kind, fields in FIELDS.items():
        if all(field in line.values for field in fields):
            return kind
    named = ", ".join(" and ".join(fields) for fields in FIELDS.values())
    raise line.fault(f"no pair of texts: the fields are one of {named}")


def _request(line: Line, kind: Kind) -> RelevanceRequest:
    first, second = (line.text(field) for field in FIELDS[kind])
    if not (first and second):
        raise line.fault("a text of the pair is empty")
    return RelevanceRequest(kind, first, second)


def _label(line: Line) -> str:
    """A label as text: in JSON it may be a whole number, too."""
    value = line.values.get("label")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return line.text("label")
