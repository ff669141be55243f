"""The answer to an inference request: JSON, and the binary tensors behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson

from models.backends import Tensor, Tensors
from serving.errors import InvalidInput
from serving.inference_protocol.classification import classes_of, packed
from serving.inference_protocol.datatypes import BYTES, NAMES
from serving.inference_protocol.request import InferRequest, Wanted
from serving.inference_protocol.signature import Signature


@dataclass(frozen=True)
class InferAnswer:
    """A body; `json_bytes` of it are JSON, None where all of it is."""

    body: bytes
    json_bytes: int | None


def write_answer(request: InferRequest, signature: Signature, outputs: Tensors) -> InferAnswer:
    """The outputs that were wanted.

    Raises InvalidInput where one that was wanted as JSON holds what JSON cannot say.
    """
    described, binary = [], []
    for wanted in request.wanted:
        description, data = _described(wanted, outputs[wanted.output.name])
        described.append(description)
        if data is not None:
            binary.append(data)
    answer = {
        "model_name": signature.name,
        "model_version": signature.version,
        "outputs": described,
    }
    if request.id:
        answer["id"] = request.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return InferAnswer(head, None)
    return InferAnswer(b"".join([head, *binary]), len(head))


def _described(
    wanted: Wanted, tensor: Tensor
) -> tuple[dict[str, object], bytes | memoryview | None]:
    """An output as it stands in the JSON, and its binary data."""
    name = wanted.output.name
    data: bytes | memoryview
    if wanted.classes:
        found = classes_of(tensor, wanted.classes, wanted.output.labels)
        shape = [len(found), len(found[0])]
        texts = [text for row in found for text in row]
        if not wanted.binary:
            return {"name": name, "datatype": BYTES, "shape": shape, "data": texts}, None
        data, datatype = packed(texts), BYTES
    else:
        shape = list(tensor.shape)
        datatype = NAMES[tensor.dtype]
        if not wanted.binary:
            numbers = _numbers(name, tensor)
            return {"name": name, "datatype": datatype, "shape": shape, "data": numbers}, None
        data = np.ascontiguousarray(tensor).data
    parameters = {"binary_data_size": data.nbytes if isinstance(data, memoryview) else len(data)}
    described: dict[str, object] = {
        "name": name, "datatype": datatype, "shape": shape, "parameters": parameters,
    }  # fmt: skip
    return described, data


def _numbers(name: str, tensor: Tensor) -> Tensor:
    """The elements in row-major order, as JSON lists them."""
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise InvalidInput(
            f"output {name} holds NaN or infinity, which JSON cannot say: ask for binary data"
        )
    return np.ascontiguousarray(tensor).ravel()
