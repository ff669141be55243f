"""Triage without a server: the task and its models in a plain loop, to evaluate and replay."""

from __future__ import annotations

from collections.abc import Mapping

from models.backends.onnx import OnnxBackend
from models.errors import ModelLicenceError, UnknownModel
from models.repository import ModelEntry, ModelRepository
from models.tasks.triage import Judged, Outputs, TriageTask
from models.triage.request import TriageRequest
from models.triage.result import TriageResult

DEPARTMENT, URGENCY = "department", "urgency"


class LocalTriage:
    """One repository's triage. `versions` pins models; one that is not there stays unasked."""

    def __init__(
        self, repository: ModelRepository, versions: Mapping[str, int | None] | None = None
    ) -> None:
        """Raises UnknownModel or ModelLicenceError where the department model or a pinned version
        is missing or not licensed for this use."""
        pinned = versions or {}
        entries: dict[str, ModelEntry] = {}
        for name in (DEPARTMENT, URGENCY):
            try:
                entries[name] = repository.get(name, pinned.get(name))
            except (UnknownModel, ModelLicenceError):
                if name == DEPARTMENT or pinned.get(name) is not None:
                    raise
        self.task = TriageTask(entries[DEPARTMENT], entries.get(URGENCY))
        self.versions = {name: entry.manifest.version for name, entry in entries.items()}
        self._backends = {name: OnnxBackend(entry.network) for name, entry in entries.items()}

    def judged(self, request: TriageRequest) -> Judged:
        """The case with the models' say: the level that an answer would have."""
        read = self.task.read(request)
        return self.task.heard(read, self.outputs(read))

    def outputs(self, read: Judged) -> Outputs:
        """What every model returns for a case that was read."""
        return {
            name: self._backends[name].run(tensors)
            for name, tensors in self.task.prepare(read).items()
        }

    def __call__(self, request: TriageRequest) -> TriageResult:
        """The whole answer."""
        read = self.task.read(request)
        return self.task.finish(read, self.outputs(read))
