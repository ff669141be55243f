"""Replaying a recorded triage: the same input through the same versions gives the same answer."""

from __future__ import annotations

from models.backends.onnx import OnnxBackend
from models.errors import UnknownModel
from models.tasks.triage import TriageTask
from models.triage.request import TriageRequest
from serving.decisions import DecisionRecord
from serving.errors import InvalidInput, NotFound
from serving.settings import Settings
from serving.storage.codes import DecisionKind

MODEL = "department"


def replay_triage(record: DecisionRecord, settings: Settings) -> list[str]:
    """Names of the parts of the answer that differ; empty when it is the same.

    Raises InvalidInput for a decision that is no triage, NotFound naming the model version
    that is missing here.
    """
    if record.kind is not DecisionKind.TRIAGE:
        raise InvalidInput("only triage decisions can be replayed")
    version = record.models.get(MODEL)
    repository = settings.repository
    try:
        entry = repository.get(MODEL, None if version is None else int(version))
    except UnknownModel as error:
        raise NotFound(f"model {MODEL} version {version} is not here") from error
    task = TriageTask(entry.manifest)
    judged = task.read(TriageRequest.model_validate(record.input))
    outputs = None if version is None else OnnxBackend(entry.network).run(task.prepare(judged))
    again = task.finish(judged, outputs).model_dump(mode="json")
    return sorted(key for key in again if again[key] != record.result.get(key))
