"""What is asked of every server: the same bytes for all.

Bodies follow the Open Inference Protocol: JSON, and for networks its binary tensor extension, whose
JSON ends with a line break here so that a server which hides headers from the model can find its
end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.latency import COMPLAINTS
from eval.serving.requests import Body
from models.backends import Tensors
from models.manifest import Manifest
from models.repository import ModelEntry, ModelRepository
from models.tasks.department import DepartmentRequest, DepartmentTask

BATCH, BASE_MS, ROW_MS = 16, 5.0, 0.5
"""The fake model: a batch of n <= BATCH rows takes BASE_MS + ROW_MS n."""
CEILING = BATCH / (BASE_MS + ROW_MS * BATCH) * 1e3
"""Requests a second that the fake model can do at all."""
OUTPUT = "logits"
_DATATYPES = {"float32": "FP32", "int64": "INT64"}
_PICTURES = 8
_SEED = 1


@dataclass(frozen=True)
class Workload:
    """What is asked. model: the name in our server. entry: the network that peers load.
    ceiling: requests a second that are possible at all, where it is known.
    """

    name: str
    title: str
    model: str
    bodies: Sequence[Body]
    entry: ModelEntry | None = None
    ceiling: float | None = None


def workloads(names: Iterable[str], repository: ModelRepository) -> list[Workload]:
    """By name, of `NAMES`; raises ModelError where a network is missing or not licensed."""
    return [_MAKERS[name](repository) for name in names]


def row() -> Body:
    """One row of four numbers, for the models that do not look at it."""
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.25, 0.5, 0.75, 1.0]}
    text = json.dumps({"inputs": [tensor]}, separators=(",", ":"))
    return Body(text.encode())


def binary(tensors: Tensors, output: str = OUTPUT) -> Body:
    """A request for one output, tensors behind the JSON."""
    inputs = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "datatype": _DATATYPES[tensor.dtype.name],
            "parameters": {"binary_data_size": tensor.nbytes},
        }
        for name, tensor in tensors.items()
    ]
    asked = {"inputs": inputs, "outputs": [{"name": output}]}
    head = json.dumps(asked, separators=(",", ":")).encode() + b"\n"
    data = b"".join(np.ascontiguousarray(tensor).tobytes() for tensor in tensors.values())
    return Body(
        head + data,
        {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        },
    )


def _echo(_repository: ModelRepository) -> Workload:
    return Workload("echo", "Echo: JSON in, the same out", "echo", [row()])


def _fake(_repository: ModelRepository) -> Workload:
    title = f"Fake model: sleeps {BASE_MS:g} + {ROW_MS:g} n ms, at most {BATCH} rows"
    return Workload("fake", title, "sleep", [row()], ceiling=CEILING)


def _triage(repository: ModelRepository) -> Workload:
    entry = repository.get("department")
    task = DepartmentTask(entry.manifest, entry.folder)
    bodies = [binary(task.prepare(DepartmentRequest(text))) for text in COMPLAINTS]
    return Workload("triage", "Triage text model", entry.manifest.name, bodies, entry)


def _xray(repository: ModelRepository) -> Workload:
    entry = repository.get("cxr_pneumonia")
    shape = _one(entry.manifest)
    noise = np.random.default_rng(_SEED)
    bodies = [
        binary({"image": noise.standard_normal(shape, dtype=np.float32)}) for _ in range(_PICTURES)
    ]
    return Workload("xray", "X-ray model", entry.manifest.name, bodies, entry)


def _one(manifest: Manifest) -> tuple[int, ...]:
    """The shape of one row of the only input."""
    return (1, *manifest.inputs[0].shape[1:])


_MAKERS = {"echo": _echo, "fake": _fake, "triage": _triage, "xray": _xray}
NAMES = tuple(_MAKERS)
