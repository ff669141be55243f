"""What goes over the socket between an HTTP process and the owner of the models, in bytes.

A frame is a header (length of the body, kind, id of the request) and a body. Tensors travel as
their raw bytes, aligned, behind a table of names, types and shapes: nothing is pickled, and a
received tensor is a view of the frame. Whatever does not fit this description exactly raises
`MalformedFrame`. Integers are little-endian. Pure: no socket, no clock.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isnan, prod

import numpy as np

from models.backends import Tensor, Tensors
from models.errors import ModelError, ModelRunError, UnknownModel
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)

HEADER = struct.Struct("<IIQ")
"""Bytes of the body, `Kind`, id of the request that it belongs to."""
MAX_BODY = 64 << 20
"""Largest body: some hundred images of 224 x 224 pixels in one request."""
_ALIGN = 16
_INFER = struct.Struct("<dBB")
_RESULT = struct.Struct("<dd")
_REFUSED = struct.Struct("<dB")
_COUNT = struct.Struct("<B")
_TENSOR = struct.Struct("<BBB")
_MOST_TENSORS, _MOST_AXES, _LONGEST_NAME = 64, 8, 255
_DTYPES = tuple(np.dtype(f"<{code}") for code in (
    "?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8",
))  # fmt: skip
_CODES = {dtype: code for code, dtype in enumerate(_DTYPES)}

Chunk = bytes | bytearray | memoryview


class MalformedFrame(Exception):
    """The other side does not keep to the protocol; says how. The connection cannot go on."""


class Kind(IntEnum):
    """What a frame says. The first four go to the owner, the next three come from it; news of a
    model that a process has put in service goes to it and from it to the other processes."""

    infer = 0
    cancel = 1
    host = 2
    remove = 3
    result = 4
    refused = 5
    hosted = 6
    news = 7


class _Code(IntEnum):
    queue_full = 0
    too_many_rows = 1
    deadline = 2
    stopped = 3
    unknown_model = 4
    run_error = 5
    model_error = 6


@dataclass(frozen=True)
class Asked:
    """A request as the owner reads it. `timeout_s`: seconds that are left; None for no limit."""

    model: str
    tensors: dict[str, Tensor]
    priority: Priority
    timeout_s: float | None


def infer_head(model: str, priority: Priority, timeout_s: float | None) -> bytes:
    """The first part of the body of `Kind.infer`; `packed` tensors follow it."""
    name = model.encode()
    if len(name) > _LONGEST_NAME:
        raise UnknownModel("no model has a name of that length")
    left = float("inf") if timeout_s is None else timeout_s
    return _INFER.pack(left, priority, len(name)) + name


def packed(tensors: Tensors, before: int) -> list[Chunk]:
    """The tensors as the rest of a body that has `before` bytes already.

    Raises ModelRunError for a type that no network takes.
    """
    if len(tensors) > _MOST_TENSORS:
        raise ModelRunError(f"at most {_MOST_TENSORS} tensors in one request")
    table = bytearray(_COUNT.pack(len(tensors)))
    arrays = [(name.encode(), np.ascontiguousarray(t)) for name, t in tensors.items()]
    for name, array in arrays:
        code = _CODES.get(array.dtype)
        if code is None or array.ndim > _MOST_AXES or len(name) > _LONGEST_NAME:
            raise ModelRunError(f"a tensor of type {array.dtype} cannot be sent to the models")
        table += _TENSOR.pack(len(name), code, array.ndim) + name
        table += struct.pack(f"<{array.ndim}I", *array.shape)
    chunks: list[Chunk] = [table]
    at = before + len(table)
    for _, array in arrays:
        if gap := -at % _ALIGN:
            chunks.append(bytes(gap))
        if array.nbytes:
            chunks.append(array.reshape(-1).view(np.uint8).data)
        at += gap + array.nbytes
    return chunks


def infer_of(body: bytearray) -> Asked:
    """Reads the body of `Kind.infer`. Every tensor has the same rows, one or more."""
    timeout_s, priority, length = _unpack(_INFER, body, 0)
    start = _INFER.size
    model, end = _text(body, start, length)
    tensors = _tensors(body, end)
    if isnan(timeout_s) or priority not in Priority.__members__.values():
        raise MalformedFrame("no such deadline or class")
    if not tensors or any(t.ndim == 0 for t in tensors.values()):
        raise MalformedFrame("a request without rows")
    if (
        len({t.shape[0] for t in tensors.values()}) != 1
        or not next(iter(tensors.values())).shape[0]
    ):
        raise MalformedFrame("tensors of different rows, or of none")
    limit = None if timeout_s == float("inf") else timeout_s
    return Asked(model, tensors, Priority(priority), limit)


def result_body(answer: Inference) -> list[Chunk]:
    """The body of `Kind.result`."""
    head = _RESULT.pack(answer.queue_s, answer.inference_s)
    return [head, *packed(answer.outputs, len(head))]


def result_of(body: bytearray) -> Inference:
    """Reads the body of `Kind.result`."""
    queue_s, inference_s = _unpack(_RESULT, body, 0)
    return Inference(_tensors(body, _RESULT.size), queue_s, inference_s)


def refused_body(error: Exception) -> bytes:
    """The body of `Kind.refused`: what the engine raised. A foreign error is named, not quoted."""
    code, value, text = _Code.run_error, 0.0, str(error)
    if isinstance(error, QueueFull):
        code, value, text = _Code.queue_full, error.retry_after_s, ""
    elif isinstance(error, TooManyRows):
        code, value, text = _Code.too_many_rows, float(error.most), ""
    elif isinstance(error, DeadlinePassed):
        code = _Code.deadline
    elif isinstance(error, EngineStopped):
        code = _Code.stopped
    elif isinstance(error, UnknownModel):
        code = _Code.unknown_model
    elif isinstance(error, ModelRunError):
        pass
    elif isinstance(error, ModelError):
        code = _Code.model_error
    else:
        text = type(error).__name__
    return _REFUSED.pack(value, code) + text.encode()[:1000]


def refused_of(body: bytearray) -> Exception:
    """Reads the body of `Kind.refused`: the error to raise."""
    value, code = _unpack(_REFUSED, body, 0)
    text = bytes(body[_REFUSED.size :]).decode(errors="replace")
    if isnan(value) or abs(value) > 1e9:
        raise MalformedFrame("no such number of seconds or rows")
    match code:
        case _Code.queue_full:
            return QueueFull(value)
        case _Code.too_many_rows:
            return TooManyRows(int(value))
        case _Code.deadline:
            return DeadlinePassed(text)
        case _Code.stopped:
            return EngineStopped(text)
        case _Code.unknown_model:
            return UnknownModel(text)
        case _Code.run_error:
            return ModelRunError(text)
        case _Code.model_error:
            return ModelError(text)
    raise MalformedFrame("no such refusal")


def identity_of(body: bytearray) -> str:
    """Reads the body of `Kind.host`, `Kind.remove` and `Kind.news`: `NAME@VERSION`."""
    if len(body) > _LONGEST_NAME:
        raise MalformedFrame("no model has a name of that length")
    return _text(body, 0, len(body))[0]


def size_of(chunks: Sequence[Chunk]) -> int:
    """Bytes of a body."""
    return sum(len(chunk) for chunk in chunks)


def _tensors(body: bytearray, at: int) -> dict[str, Tensor]:
    (count,) = _unpack(_COUNT, body, at)
    at += _COUNT.size
    if count > _MOST_TENSORS:
        raise MalformedFrame("too many tensors")
    table = []
    for _ in range(count):
        length, code, axes = _unpack(_TENSOR, body, at)
        name, at = _text(body, at + _TENSOR.size, length)
        if code >= len(_DTYPES) or axes > _MOST_AXES:
            raise MalformedFrame("no such type or shape")
        shape = _unpack(struct.Struct(f"<{axes}I"), body, at)
        at += 4 * axes
        table.append((name, _DTYPES[code], shape))
    tensors: dict[str, Tensor] = {}
    for name, dtype, shape in table:
        at += -at % _ALIGN
        items = prod(shape)
        if at + items * dtype.itemsize > len(body) or prod(max(1, n) for n in shape) > MAX_BODY:
            raise MalformedFrame("a tensor is longer than its frame")
        flat = np.frombuffer(body, dtype, items, at) if items else np.empty(0, dtype)
        tensors[name] = flat.reshape(shape)
        at += items * dtype.itemsize
    if len(tensors) != count or at != len(body):
        raise MalformedFrame("two tensors of one name, or bytes that belong to none")
    return tensors


def _unpack(form: struct.Struct, body: bytearray, at: int) -> tuple[int, ...]:
    try:
        return form.unpack_from(body, at)
    except struct.error:
        raise MalformedFrame("shorter than it says") from None


def _text(body: bytearray, start: int, length: int) -> tuple[str, int]:
    end = start + length
    if end > len(body):
        raise MalformedFrame("shorter than it says")
    try:
        return body[start:end].decode(), end
    except UnicodeDecodeError:
        raise MalformedFrame("a name that is no text") from None
