"""One input of a request as an array: from its bytes as they are, or from JSON's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from math import prod

import numpy as np

from models.backends import Tensor
from serving.errors import InvalidInput
from serving.inference_protocol.datatypes import BYTES, NUMPY
from serving.inference_protocol.signature import DYNAMIC, TensorSignature
from serving.storage.canonical import Json


def checked_shape(given: Json, spec: TensorSignature) -> tuple[int, ...]:
    """The shape of an input; raises InvalidInput unless the model takes it."""
    if not isinstance(given, list) or not all(type(size) is int for size in given):
        raise InvalidInput(f"input {spec.name}: shape must be a list of whole numbers")
    shape = tuple(size for size in given if isinstance(size, int))
    if len(shape) != len(spec.shape):
        raise InvalidInput(f"input {spec.name}: shape must have {len(spec.shape)} axes")
    for axis, (size, wanted) in enumerate(zip(shape, spec.shape, strict=True)):
        if size < 1:
            raise InvalidInput(f"input {spec.name}: axis {axis} of the shape must be at least 1")
        if wanted not in (DYNAMIC, size):
            raise InvalidInput(f"input {spec.name}: axis {axis} of the shape must be {wanted}")
    return shape


def check_datatype(given: Json, spec: TensorSignature) -> None:
    """Raise InvalidInput unless it is the model's own."""
    if given == spec.datatype:
        return
    if given == BYTES:
        raise InvalidInput("no model here takes BYTES")
    if not isinstance(given, str) or given not in NUMPY:
        raise InvalidInput(f"input {spec.name}: datatype must be one of {', '.join(NUMPY)}")
    raise InvalidInput(f"input {spec.name}: datatype must be {spec.datatype}, not {given}")


def from_bytes(raw: memoryview, shape: tuple[int, ...], spec: TensorSignature) -> Tensor:
    """A tensor from little-endian bytes in row-major order, without a copy where they are aligned.

    Raises InvalidInput where their number is not the shape's.
    """
    size = prod(shape) * spec.dtype.itemsize
    if size != len(raw):
        raise InvalidInput(
            f"input {spec.name}: the shape needs {size} bytes of binary data, not {len(raw)}"
        )
    tensor: Tensor = np.frombuffer(raw, spec.dtype).reshape(shape)
    if spec.datatype == "BOOL" and bool((tensor.view(np.uint8) > 1).any()):
        raise InvalidInput(f"input {spec.name}: a BOOL is a byte 0 or 1")
    # The JSON before the bytes may have any length, and vector instructions like it even.
    return tensor if tensor.flags.aligned else tensor.copy()


def from_json(data: Json, shape: tuple[int, ...], spec: TensorSignature) -> Tensor:
    """A tensor from a list of numbers, flat or nested like the shape; raises InvalidInput.

    Nothing is cut, wrapped around or read out of a string.
    """
    if not isinstance(data, list):
        raise InvalidInput(f"input {spec.name}: data must be a list")
    numbers = _flat(data, shape, spec)
    if len(numbers) != prod(shape):
        raise InvalidInput(
            f"input {spec.name}: the shape needs {prod(shape)} numbers, data has {len(numbers)}"
        )
    kinds, words = _SAYS[spec.dtype.kind]
    # Before numpy sees them: from strings it makes an array as wide as the longest.
    if not kinds.issuperset(map(type, numbers)):
        raise InvalidInput(f"input {spec.name}: data must be {words}, for {spec.datatype}")
    try:
        # JSON has no infinity: a number that would become one is too large, and said to be.
        with np.errstate(over="raise"):
            tensor: Tensor = np.array(numbers, spec.dtype)
    except (OverflowError, FloatingPointError) as error:
        raise InvalidInput(f"input {spec.name}: a number does not fit {spec.datatype}") from error
    return tensor.reshape(shape)


_SAYS: Mapping[str, tuple[frozenset[type], str]] = {
    # By the kind of the wanted type: what JSON's reader makes of it, and our word for that.
    "b": (frozenset({bool}), "true and false"),
    "i": (frozenset({int}), "whole numbers"),
    "u": (frozenset({int}), "whole numbers"),
    "f": (frozenset({int, float}), "numbers"),
}


def _flat(data: list[Json], shape: tuple[int, ...], spec: TensorSignature) -> list[Json]:
    """The numbers in row-major order."""
    if not data or not isinstance(data[0], list):
        return data
    level: list[Json] = [data]
    for size in shape:
        parts = [part for part in level if isinstance(part, list) and len(part) == size]
        if len(parts) != len(level):
            raise InvalidInput(f"input {spec.name}: data is neither flat nor nested like the shape")
        level = list(chain.from_iterable(parts))
    return level
