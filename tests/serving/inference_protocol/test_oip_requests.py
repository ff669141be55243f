"""Reading requests: what fits the model arrives exactly, anything else is one clear sentence."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.manifest import TensorSpec
from serving.engine.inference import Priority
from serving.errors import InvalidInput, PayloadTooLarge
from serving.inference_protocol.datatypes import NUMPY
from serving.inference_protocol.request import InferRequest, read_request
from serving.inference_protocol.signature import Signature
from tests.serving.inference_protocol.signatures import floats, made, shipped

MOST = 100_000
ECHO = made(floats())
TEXT = shipped("department")


def read(
    signature: Signature, request: Any, binary: bytes = b"", header: int | None = None
) -> InferRequest:
    head = json.dumps(request).encode()
    if header is None and binary:
        header = len(head)
    return read_request(head + binary, header, signature, MOST)


def x(**changed: Any) -> dict[str, Any]:
    one = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, 3, 4]} | changed
    return {"inputs": [{name: value for name, value in one.items() if value is not ...}]}


@pytest.mark.parametrize("data", [[1, 2.5, 3, 4], [[1, 2.5], [3, 4]]])
def test_numbers_of_json_arrive_flat_or_nested(data: Any) -> None:
    tensor = read(ECHO, x(data=data)).tensors["x"]
    assert tensor.dtype == np.float32
    assert tensor.tolist() == [[1, 2.5], [3, 4]]


@pytest.mark.parametrize("padding", range(4))
def test_binary_data_arrives_bit_by_bit_wherever_it_begins(padding: int) -> None:
    sent = np.array([[np.nan, np.inf], [-0.0, 1e-45]], "<f4")
    one = x(data=..., parameters={"binary_data_size": 16}) | {"id": "i" * padding}
    tensor = read(ECHO, one, sent.tobytes()).tensors["x"]
    assert tensor.tobytes() == sent.tobytes()
    assert tensor.flags.aligned


def test_inputs_may_mix_json_and_binary_data_in_any_order() -> None:
    ids, weights = np.array([[1, 2, 3]]), np.array([[0.5, 1, 2]], np.float32)
    request = {
        "inputs": [
            {"name": "weights", "datatype": "FP32", "shape": [1, 3],
             "parameters": {"binary_data_size": 12}},
            {"name": "pieces", "datatype": "INT64", "shape": [1, 2], "data": [5, 6]},
            {"name": "ids", "datatype": "INT64", "shape": [1, 3],
             "parameters": {"binary_data_size": 24}},
        ]
    }  # fmt: skip
    tensors = read(TEXT, request, weights.tobytes() + ids.tobytes()).tensors
    assert tensors["ids"].tolist() == ids.tolist()
    assert tensors["weights"].tolist() == weights.tolist()
    assert tensors["pieces"].tolist() == [[5, 6]]


def test_a_body_of_bytes_alone_is_one_row_with_binary_outputs() -> None:
    sent = np.arange(5, dtype="<f4")
    request = read_request(sent.tobytes(), 0, ECHO, MOST)
    assert request.tensors["x"].tolist() == [sent.tolist()]
    assert [one.binary for one in request.wanted] == [True]
    with pytest.raises(InvalidInput, match="one input"):
        read_request(b"", 0, TEXT, MOST)
    with pytest.raises(InvalidInput, match="needs 20 bytes of binary data, not 21"):
        read_request(sent.tobytes() + b"!", 0, ECHO, MOST)
    with pytest.raises(InvalidInput, match="at least 1"):
        read_request(b"", 0, ECHO, MOST)


@given(
    tensor=st.sampled_from(sorted(NUMPY)).flatmap(
        lambda name: hnp.arrays(
            NUMPY[name],
            hnp.array_shapes(min_dims=2, max_dims=3, max_side=4),
            elements=(
                {"allow_nan": False, "allow_infinity": False} if name.startswith("FP") else None
            ),
        )
    ),
    binary=st.booleans(),
)
@settings(deadline=None)
def test_every_datatype_arrives_as_it_was_sent(tensor: Any, binary: bool) -> None:
    name = next(name for name, dtype in NUMPY.items() if dtype == tensor.dtype)
    one: dict[str, Any] = {"name": "x", "datatype": name, "shape": list(tensor.shape)}
    if binary:
        one["parameters"] = {"binary_data_size": tensor.nbytes}
    else:
        one["data"] = tensor.tolist()
    spec = _any_spec(name, tensor.ndim)
    got = read(spec, {"inputs": [one]}, tensor.tobytes() if binary else b"").tensors["x"]
    assert got.dtype == tensor.dtype
    assert got.tobytes() == tensor.tobytes()


def _any_spec(name: str, axes: int) -> Signature:
    """A model that takes a datatype, of those too that no manifest can name today."""
    plain = made(TensorSpec(name="x", dtype="float32", shape=[-1] * axes))
    spec = dataclasses.replace(plain.inputs["x"], datatype=name, dtype=NUMPY[name])
    return dataclasses.replace(plain, inputs={"x": spec})


BINARY = {"binary_data_size": 16}
REFUSED = [
    (b"", "cannot be read"),
    (b"[]", "must be an object"),
    (b'{"inputs": [NaN]}', "cannot be read"),
    (b"[" * 5_000, "cannot be read"),
    ({}, "inputs must be a list"),
    ({"inputs": []}, "input x is missing"),
    ({"inputs": [7]}, "each of inputs must be an object"),
    ({"inputs": x()["inputs"] * 2}, "input x is there twice"),
    (x(name="y"), "inputs are: x"),
    (x(name=...), "inputs are: x"),
    (x(datatype="INT64"), "must be FP32, not INT64"),
    (x(datatype="float"), "must be one of BOOL, UINT8"),
    (x(datatype=...), "must be one of BOOL, UINT8"),
    (x(datatype="BYTES"), "no model here takes BYTES"),
    (x(shape=...), "list of whole numbers"),
    (x(shape=[2, 2.0]), "list of whole numbers"),
    (x(shape=[2, True]), "list of whole numbers"),
    (x(shape=[4]), "must have 2 axes"),
    (x(shape=[]), "must have 2 axes"),
    (x(shape=[0, 2]), "axis 0 of the shape must be at least 1"),
    (x(shape=[2, -1]), "axis 1 of the shape must be at least 1"),
    (x(shape=[2, 3]), "needs 6 numbers, data has 4"),
    (x(shape=[2**62, 2**62]), "numbers, data has 4"),
    (x(shape=[2**31, 2**33], data=..., parameters=BINARY), "binary_data_size is more than"),
    (x(data=...), "data must be a list"),
    (x(data="1234"), "data must be a list"),
    (x(data=["1", 2, 3, 4]), "data must be numbers"),
    (x(data=["long" * 10_000] + [""] * 10_000), "numbers, data has"),
    (x(data=[None, 2, 3, 4]), "data must be numbers"),
    (x(data=[True, 2, 3, 4]), "data must be numbers"),
    (x(data=[{}, 2, 3, 4]), "data must be numbers"),
    (x(data=[1e39, 2, 3, 4]), "does not fit FP32"),
    (x(data=[[1, 2], [3]]), "neither flat nor nested"),
    (x(data=[[1, 2], 3, 4]), "neither flat nor nested"),
    (x(data=[[[1, 2], [3, 4]]]), "neither flat nor nested"),
    (x(data=[[[1], [2]], [[3], [4]]]), "data must be numbers"),
    (x(data=[[1, 2, 3, 4]]), "neither flat nor nested"),
    (x(data=[[]]), "neither flat nor nested"),
    (x(data=[]), "data has 0"),
    (x(parameters=[]), "parameters must be an object"),
    (x(parameters=BINARY), "not both"),
    (x(data=..., parameters={"binary_data_size": -1}), "number of bytes"),
    (x(data=..., parameters={"binary_data_size": True}), "number of bytes"),
    (x(data=..., parameters={"shared_memory_region": "r"}), "shared memory"),
    (x() | {"id": 7}, "id must be a string"),
    (x() | {"id": "i" * 257}, "id must be a string"),
    (x() | {"parameters": 1}, "parameters must be an object"),
    (x() | {"parameters": {"priority": 4}}, "priority must be 1"),
    (x() | {"parameters": {"priority": -1}}, "priority must be 1"),
    (x() | {"parameters": {"timeout": -1}}, "timeout must be"),
    (x() | {"parameters": {"timeout": 1.5}}, "timeout must be"),
    (x() | {"parameters": {"sequence_id": 9}}, "sequences are not supported"),
    (x() | {"parameters": {"binary_data_output": 1}}, "binary_data_output must be true or false"),
    (x() | {"outputs": "y"}, "outputs must be a list"),
    (x() | {"outputs": ["y"]}, "each of outputs must be an object"),
    (x() | {"outputs": [{"name": "z"}]}, "outputs are: y"),
    (x() | {"outputs": [{"name": "y"}, {"name": "y"}]}, "output y is there twice"),
    (x() | {"outputs": [{"name": "y", "parameters": {"classification": -1}}]}, "classification"),
    (x() | {"outputs": [{"name": "y", "parameters": {"classification": True}}]}, "classification"),
    (x() | {"outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "binary_data must be"),
    (
        x() | {"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
        "shared memory",
    ),
]


@pytest.mark.parametrize(("request_", "sentence"), REFUSED)
def test_what_does_not_fit_is_one_clear_sentence(request_: Any, sentence: str) -> None:
    body = request_ if isinstance(request_, bytes) else json.dumps(request_).encode()
    with pytest.raises(InvalidInput, match=sentence) as refused:
        read_request(body, None, ECHO, MOST)
    assert "\n" not in refused.value.detail
    assert len(refused.value.detail) < 160


@pytest.mark.parametrize("data", [[256, 1], [-1, 1], [2**63, 1], [2**80, 1], [1.0, 1], [True, 1]])
def test_whole_numbers_are_neither_wrapped_nor_cut(data: Any) -> None:
    small = made(TensorSpec(name="x", dtype="uint8", shape=[-1, 2]))
    with pytest.raises(InvalidInput, match="UINT8"):
        read(small, x(datatype="UINT8", shape=[1, 2], data=data))


def test_the_parts_of_a_binary_request_must_add_up() -> None:
    one = x(data=..., parameters=BINARY)
    with pytest.raises(InvalidInput, match="more than the body has"):
        read(ECHO, one, b"\0" * 15)
    with pytest.raises(InvalidInput, match="more binary data than the inputs say"):
        read(ECHO, one, b"\0" * 17)
    with pytest.raises(InvalidInput, match="needs 16 bytes of binary data, not 12"):
        read(ECHO, x(data=..., parameters={"binary_data_size": 12}), b"\0" * 12)
    with pytest.raises(InvalidInput, match="larger than the body"):
        read(ECHO, one, b"\0" * 16, header=10_000)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(ECHO, one, b"\0" * 16, header=5)
    flag = made(TensorSpec(name="x", dtype="bool", shape=[-1, 2]))
    truth = x(datatype="BOOL", shape=[1, 2], data=..., parameters={"binary_data_size": 2})
    assert read(flag, truth, b"\0\1").tensors["x"].tolist() == [[False, True]]
    with pytest.raises(InvalidInput, match="byte 0 or 1"):
        read(flag, truth, b"\0\2")


def test_inputs_that_the_network_reads_together_must_have_one_length() -> None:
    def text(ids: int, weights: int, pieces: int, rows: int = 1) -> dict[str, Any]:
        sizes = {"ids": ids, "weights": weights, "pieces": pieces}
        return {
            "inputs": [
                {"name": name, "datatype": TEXT.inputs[name].datatype,
                 "shape": [rows if name == "pieces" else 1, size],
                 "data": [1] * (size * (rows if name == "pieces" else 1))}
                for name, size in sizes.items()
            ]
        }  # fmt: skip

    assert set(read(TEXT, text(3, 3, 5)).tensors) == {"ids", "weights", "pieces"}
    with pytest.raises(InvalidInput, match="axis 1 of ids, axis 1 of weights"):
        read(TEXT, text(3, 2, 5))
    with pytest.raises(InvalidInput, match="axis 0 of ids, axis 0 of weights, axis 0 of pieces"):
        read(TEXT, text(3, 3, 5, rows=2))


def test_json_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(PayloadTooLarge, match="as binary data"):
        read_request(b"[" * (MOST + 1), None, ECHO, MOST)


def test_what_is_wanted_back_and_how_urgently() -> None:
    both = made(floats(), outputs=(floats("y"), floats("z")))
    plain = read(both, x())
    assert [(one.output.name, one.binary) for one in plain.wanted] == [("y", False), ("z", False)]
    assert (plain.priority, plain.timeout_s, plain.id) == (None, None, "")
    asked = {
        "id": "7",
        "parameters": {"binary_data_output": True, "priority": 1, "timeout": 250_000},
        "outputs": [
            {"name": "z"},
            {"name": "y", "parameters": {"binary_data": False, "classification": 3}},
        ],
    }
    request = read(both, x() | asked)
    assert [(one.output.name, one.binary, one.classes) for one in request.wanted] == [
        ("z", True, 0),
        ("y", False, 3),
    ]
    assert request.priority is Priority.emergency
    assert request.timeout_s == pytest.approx(0.25)
    assert request.id == "7"


_WORDS = st.sampled_from(
    ["inputs", "outputs", "name", "x", "y", "ids", "shape", "datatype", "FP32", "INT64", "data",
     "parameters", "binary_data_size", "binary_data", "classification", "id", "timeout",
     "priority", "binary_data_output"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=20,
)
_PARAMETERS = st.dictionaries(_WORDS, st.integers(-3, 40) | st.booleans() | _JSON, max_size=3)
_TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": _WORDS,
        "datatype": st.sampled_from(["FP32", "INT64", "BYTES", "x"]),
        "shape": st.lists(st.integers(-1, 5) | st.integers(), max_size=3),
        "data": st.lists(st.floats(allow_nan=False) | st.integers(-5, 5), max_size=6) | _JSON,
        "parameters": _PARAMETERS,
    },
)
_REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(_TENSOR, max_size=3)},
    optional={"outputs": st.lists(_TENSOR, max_size=2) | _JSON, "parameters": _PARAMETERS},
)


@given(
    body=st.binary(max_size=200) | (_REQUEST | _JSON).map(lambda one: json.dumps(one).encode()),
    binary=st.binary(max_size=40),
    header=st.none() | st.integers(0, 300) | st.just("right"),
    signature=st.sampled_from([ECHO, TEXT]),
)
@settings(deadline=None, max_examples=400)
def test_any_bytes_are_a_request_that_fits_or_an_error_of_ours(
    body: bytes, binary: bytes, header: int | str | None, signature: Signature
) -> None:
    length = len(body) if isinstance(header, str) else header
    try:
        request = read_request(body + binary, length, signature, MOST)
    except (InvalidInput, PayloadTooLarge):
        return
    assert set(request.tensors) == set(signature.inputs)
    for name, tensor in request.tensors.items():
        assert tensor.dtype == signature.inputs[name].dtype
        assert tensor.size > 0
