"""What every peer serves, so that all are measured on the same work. Nothing of ours: the
standard library, numpy and orjson, and onnxruntime where a network is served.

A request's body, for all servers alike (Open Inference Protocol): JSON with `inputs`, or, for
networks, that JSON in one line, the number of its bytes in a header, and the tensors' bytes after
it. Not every peer shows headers to the model, so the line's end is what is looked for here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

MAX_BATCH = 16
_BASE_S, _ROW_S = 0.005, 0.0005
_DTYPES = {"FP32": np.float32, "INT64": np.int64}


@dataclass(frozen=True)
class Job:
    """What this process is to serve. In the environment, since frameworks start workers anew.

    workload: echo, fake or onnx. model: an ONNX file.
    """

    workload: str
    port: int
    model: str
    threads: int


def job() -> Job:
    """Read it; KeyError where it is missing."""
    env = os.environ
    return Job(
        env["PEER_WORKLOAD"],
        int(env["PEER_PORT"]),
        env.get("PEER_MODEL", ""),
        int(env.get("PEER_THREADS", "1")),
    )


class Echo:
    """JSON in, the same JSON out."""

    def run(self, bodies: Sequence[bytes]) -> list[bytes]:
        return [orjson.dumps(orjson.loads(body)) for body in bodies]


class Fake:
    """Sleeps 5 ms and 0.5 ms for each row, then answers as `Echo`; a sleep holds the model's
    worker as a network does.
    """

    def run(self, bodies: Sequence[bytes]) -> list[bytes]:
        read = [orjson.loads(body) for body in bodies]
        time.sleep(_BASE_S + _ROW_S * len(read))
        return [orjson.dumps(one) for one in read]


class Network:
    """An ONNX file; rows that differ in length are padded with zeros to the longest."""

    def __init__(self, path: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # As ours: on few cores a session that spins takes time from the web server.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def run(self, bodies: Sequence[bytes]) -> list[bytes]:
        rows = [tensors(body) for body in bodies]
        batch = {name: _joined([row[name] for row in rows]) for name in rows[0]}
        (logits,) = self._session.run(["logits"], batch)
        return [orjson.dumps({"logits": row}, option=orjson.OPT_SERIALIZE_NUMPY) for row in logits]


def model_of(work: Job) -> Echo | Fake | Network:
    """The model of this process, loaded."""
    if work.workload == "onnx":
        return Network(work.model, work.threads)
    return Echo() if work.workload == "echo" else Fake()


def tensors(body: bytes) -> dict[str, Any]:
    """The tensors [1, ...] of a body, by name."""
    line, _, data = body.partition(b"\n")
    found, at = {}, 0
    for tensor in orjson.loads(line)["inputs"]:
        end = at + tensor["parameters"]["binary_data_size"]
        flat = np.frombuffer(data[at:end], dtype=_DTYPES[tensor["datatype"]])
        found[tensor["name"]] = flat.reshape(tensor["shape"])
        at = end
    return found


def _joined(tensors: Sequence[Any]) -> Any:
    if len(tensors) == 1:
        return tensors[0]
    shape = tuple(map(max, zip(*(tensor.shape[1:] for tensor in tensors), strict=True)))
    batch = np.zeros((len(tensors), *shape), dtype=tensors[0].dtype)
    for row, tensor in zip(batch, tensors, strict=True):
        row[tuple(map(slice, tensor.shape[1:]))] = tensor[0]
    return batch
