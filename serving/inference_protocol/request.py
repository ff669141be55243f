"""An inference request: its JSON, the binary tensors behind it, and what it wants back.

Everything is checked here, once, before anything reaches a model; a refusal is one sentence, with
no value of the caller's in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import orjson

from models.backends import Tensor
from serving.engine.inference import Priority
from serving.errors import InvalidInput, PayloadTooLarge
from serving.inference_protocol.signature import DYNAMIC, Signature, TensorSignature
from serving.inference_protocol.tensors import check_datatype, checked_shape, from_bytes, from_json
from serving.storage.canonical import Json, JsonObject

MAX_ID = 256
_MICROSECONDS = 1e-6
_PRIORITIES = (None, Priority.emergency, Priority.interactive, Priority.bulk)
"""Triton's numbers: 1 is the most urgent, 0 the default."""
T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """An output to answer with; `classes`: its so many largest elements with their labels."""

    output: TensorSignature
    binary: bool
    classes: int = 0


@dataclass(frozen=True)
class InferRequest:
    """Tensors that the model takes. `timeout_s` and `priority` are None where not asked for."""

    id: str
    tensors: Mapping[str, Tensor]
    wanted: tuple[Wanted, ...]
    priority: Priority | None = None
    timeout_s: float | None = None


def read_request(
    body: bytes, json_bytes: int | None, signature: Signature, most_json: int
) -> InferRequest:
    """Read a request for a model.

    json_bytes: the header Inference-Header-Content-Length; None where all of the body is JSON, 0
    where all of it is the one input of the model (Triton's raw binary request).
    most_json: bytes of JSON that are read at all. Raises InvalidInput or PayloadTooLarge.
    """
    if json_bytes == 0:
        return _raw(body, signature)
    if json_bytes is None:
        json_bytes = len(body)
    elif json_bytes > len(body):
        raise InvalidInput("Inference-Header-Content-Length is larger than the body")
    if json_bytes > most_json:
        raise PayloadTooLarge(f"at most {most_json} bytes of JSON: send tensors as binary data")
    request = read_object(body if json_bytes == len(body) else body[:json_bytes])
    parameters = _parameters(request, "the request")
    if parameters.get("sequence_id"):
        raise InvalidInput("sequences are not supported: no model here keeps a state")
    tensors = _inputs(request, memoryview(body)[json_bytes:], signature)
    return InferRequest(
        id=_id(request),
        tensors=tensors,
        wanted=_outputs(request, parameters, signature),
        priority=_priority(parameters),
        timeout_s=_timeout(parameters),
    )


def read_object(text: bytes) -> JsonObject:
    """A JSON object; raises InvalidInput."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput("the JSON of the request cannot be read") from error
    if not isinstance(found, dict):
        raise InvalidInput("the JSON of the request must be an object")
    return found


def _inputs(request: JsonObject, binary: memoryview, signature: Signature) -> dict[str, Tensor]:
    given = request.get("inputs")
    if not isinstance(given, list):
        raise InvalidInput("inputs must be a list")
    tensors: dict[str, Tensor] = {}
    at = 0
    for one in given:
        spec = _named(one, signature.inputs, tensors, "input")
        check_datatype(one.get("datatype"), spec)
        shape = checked_shape(one.get("shape"), spec)
        parameters = _parameters(one, f"input {spec.name}")
        size = _binary_size(parameters, spec)
        if size is None:
            tensors[spec.name] = from_json(one.get("data"), shape, spec)
            continue
        if "data" in one:
            raise InvalidInput(f"input {spec.name}: either data or binary_data_size, not both")
        if at + size > len(binary):
            raise InvalidInput(f"input {spec.name}: binary_data_size is more than the body has")
        tensors[spec.name] = from_bytes(binary[at : at + size], shape, spec)
        at += size
    if at != len(binary):
        raise InvalidInput("the body has more binary data than the inputs say")
    return complete(tensors, signature)


def complete(tensors: dict[str, Tensor], signature: Signature) -> dict[str, Tensor]:
    """The same tensors; raises InvalidInput where one is missing or their axes disagree."""
    if len(tensors) != len(signature.inputs):
        missing = [name for name in signature.inputs if name not in tensors]
        raise InvalidInput(f"input {missing[0]} is missing")
    for group in signature.agreeing:
        if len({tensors[name].shape[axis] for name, axis in group}) > 1:
            which = ", ".join(f"axis {axis} of {name}" for name, axis in group)
            raise InvalidInput(f"these must have one length: {which}")
    return tensors


def _raw(body: bytes, signature: Signature) -> InferRequest:
    """One row; at most one further axis may be dynamic, and has what length the bytes give it."""
    if len(signature.inputs) != 1:
        raise InvalidInput("a body of binary data alone is for models with one input")
    (spec,) = signature.inputs.values()
    shape = [1, *spec.shape[1:]]
    if shape.count(DYNAMIC) > 1:
        raise InvalidInput("a body of binary data alone leaves the shape open")
    fixed = spec.dtype.itemsize
    for size in shape:
        fixed *= 1 if size == DYNAMIC else size
    if DYNAMIC in shape:
        shape[shape.index(DYNAMIC)] = len(body) // fixed
    checked = checked_shape(list(shape), spec)
    tensors = {spec.name: from_bytes(memoryview(body), checked, spec)}
    return InferRequest("", tensors, tuple(Wanted(one, True) for one in signature.outputs.values()))


def _outputs(
    request: JsonObject, parameters: JsonObject, signature: Signature
) -> tuple[Wanted, ...]:
    binary = _bool(parameters, "binary_data_output", "the request", default=False)
    given = request.get("outputs")
    if given is None or given == []:
        return tuple(Wanted(spec, binary) for spec in signature.outputs.values())
    if not isinstance(given, list):
        raise InvalidInput("outputs must be a list")
    wanted: dict[str, Wanted] = {}
    for one in given:
        spec = _named(one, signature.outputs, wanted, "output")
        where = f"output {spec.name}"
        own = _parameters(one, where)
        _no_shared_memory(own, where)
        classes = own.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise InvalidInput(f"{where}: classification must be a number of classes")
        wanted[spec.name] = Wanted(spec, _bool(own, "binary_data", where, default=binary), classes)
    return tuple(wanted.values())


def _named(
    one: Json, known: Mapping[str, TensorSignature], taken: Mapping[str, T], what: str
) -> TensorSignature:
    if not isinstance(one, dict):
        raise InvalidInput(f"each of {what}s must be an object")
    name = one.get("name")
    spec = known.get(name) if isinstance(name, str) else None
    if spec is None:
        raise InvalidInput(f"the model's {what}s are: {', '.join(known)}")
    if spec.name in taken:
        raise InvalidInput(f"{what} {spec.name} is there twice")
    return spec


def _parameters(one: JsonObject, where: str) -> JsonObject:
    found = one.get("parameters", {})
    if not isinstance(found, dict):
        raise InvalidInput(f"{where}: parameters must be an object")
    return found


def _binary_size(parameters: JsonObject, spec: TensorSignature) -> int | None:
    _no_shared_memory(parameters, f"input {spec.name}")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise InvalidInput(f"input {spec.name}: binary_data_size must be a number of bytes")
    return size


def _no_shared_memory(parameters: JsonObject, where: str) -> None:
    if "shared_memory_region" in parameters:
        raise InvalidInput(f"{where}: shared memory is not supported")


def _bool(parameters: JsonObject, name: str, where: str, *, default: bool) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise InvalidInput(f"{where}: {name} must be true or false")
    return found


def _id(request: JsonObject) -> str:
    found = request.get("id", "")
    if not isinstance(found, str) or len(found) > MAX_ID:
        raise InvalidInput(f"id must be a string of at most {MAX_ID} characters")
    return found


def _priority(parameters: JsonObject) -> Priority | None:
    found = parameters.get("priority", 0)
    if type(found) is not int or not 0 <= found < len(_PRIORITIES):
        raise InvalidInput("priority must be 1 (emergency), 2 (interactive) or 3 (bulk)")
    return _PRIORITIES[found]


def _timeout(parameters: JsonObject) -> float | None:
    found = parameters.get("timeout", 0)
    if type(found) is not int or found < 0:
        raise InvalidInput("timeout must be a number of microseconds")
    return found * _MICROSECONDS if found else None
