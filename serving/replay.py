"""Replaying a recorded triage: the same input through the same versions gives the same answer."""

from __future__ import annotations

from models.errors import UnknownModel
from models.triage.local import LocalTriage
from models.triage.request import TriageRequest
from serving.decisions import DecisionRecord
from serving.errors import InvalidInput, NotFound
from serving.settings import Settings
from serving.storage.codes import DecisionKind


def replay_triage(record: DecisionRecord, settings: Settings) -> list[str]:
    """Names of the parts of the answer that differ; empty when it is the same.

    Raises InvalidInput for a decision that is no triage, NotFound naming the model version
    that is missing here.
    """
    if record.kind is not DecisionKind.TRIAGE:
        raise InvalidInput("only triage decisions can be replayed")
    pinned = {name: int(version) for name, version in record.models.items()}
    try:
        triage = LocalTriage(settings.repository, pinned)
    except UnknownModel as error:
        raise NotFound(f"a model of this decision is not here: {error}") from error
    read = triage.task.read(TriageRequest.model_validate(record.input))
    outputs = {name: out for name, out in triage.outputs(read).items() if name in pinned}
    again = triage.task.finish(read, outputs).model_dump(mode="json")
    return sorted(key for key in again if again[key] != record.result.get(key))
