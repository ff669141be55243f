"""The names of a network's dynamic axes, read from its ONNX file without loading it.

The manifest says which axes are dynamic; only the network says which of them have the same length:
`ids` and `weights` of one text, but not its `pieces`. Where they differ, a request would be padded
into agreement in company and fail alone.

Walks protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) past everything
else; the field numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

_GRAPH = 7
_GRAPH_INPUT = 11
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_SHAPE = 2
_SHAPE_DIM = 1
_DIM_NAME = 2


def input_axes(network: Path) -> Mapping[str, tuple[str, ...]]:
    """For each input of an ONNX file the names of its axes; "" for one of fixed length.

    Raises OSError, or ValueError for a file that is not in this format.
    """
    axes = {}
    with network.open("rb") as file:
        for size in _fields(file, os.fstat(file.fileno()).st_size, _GRAPH):
            for length in _fields(file, file.tell() + size, _GRAPH_INPUT):
                value = file.read(length)
                name = b"".join(_inside(value, _VALUE_NAME))
                axes[name.decode()] = tuple(_axis_names(value))
    return axes


def _axis_names(value: bytes) -> Iterator[str]:
    for kind in _inside(value, _VALUE_TYPE):
        for tensor in _inside(kind, _TYPE_TENSOR):
            for shape in _inside(tensor, _TENSOR_SHAPE):
                for dim in _inside(shape, _SHAPE_DIM):
                    yield b"".join(_inside(dim, _DIM_NAME)).decode()


def _inside(message: bytes, number: int) -> Iterator[bytes]:
    stream = io.BytesIO(message)
    for size in _fields(stream, len(message), number):
        yield stream.read(size)


def _fields(stream: BinaryIO, end: int, number: int) -> Iterator[int]:
    """Stop before each sized field of that number, up to `end`, and say how many bytes it has."""
    while stream.tell() < end:
        tag = _varint(stream)
        size = 0
        match tag & 7:
            case 0:  # a number
                _varint(stream)
            case 1:  # eight bytes
                size = 8
            case 2:  # sized: text, bytes, a message
                size = _varint(stream)
            case 5:  # four bytes
                size = 4
            case _:
                raise ValueError("not a protobuf message")
        after = stream.tell() + size
        if after > end:
            raise ValueError("a protobuf message is cut off")
        if tag == number << 3 | 2:
            yield size
        stream.seek(after)


def _varint(stream: BinaryIO) -> int:
    number = shift = 0
    while True:
        byte = stream.read(1)
        if not byte or shift > 63:
            raise ValueError("a protobuf number is cut off")
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
        shift += 7
