"""Writing answers: JSON, binary data and classifications, as Triton's clients read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from models.backends import Tensor
from models.manifest import TensorSpec
from serving.errors import InvalidInput
from serving.inference_protocol.classification import classes_of, packed
from serving.inference_protocol.datatypes import NUMPY
from serving.inference_protocol.request import InferRequest, Wanted
from serving.inference_protocol.response import InferAnswer, write_answer
from serving.inference_protocol.signature import Signature
from tests.serving.inference_protocol.signatures import floats, made, shipped

MODEL = made(
    floats(), outputs=(TensorSpec(name="y", dtype="float32", shape=[-1, 3]), floats("z")), labels=3
)
Y = np.array([[0.5, 2, 1]], np.float32)


def answer(*wanted: Wanted, id: str = "", **outputs: Tensor) -> InferAnswer:
    return write_answer(InferRequest(id, {}, wanted), MODEL, outputs)


def want(name: str, binary: bool, classes: int = 0, model: Signature = MODEL) -> Wanted:
    return Wanted(model.outputs[name], binary, classes)


def test_json_names_the_version_and_lists_the_numbers_flat() -> None:
    found = answer(want("y", False), id="7", y=Y)
    assert found.json_bytes is None
    assert orjson.loads(found.body) == {
        "id": "7",
        "model_name": "made",
        "model_version": "3",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 2.0, 1.0]}],
    }


def test_binary_data_follows_the_json_in_the_order_that_was_asked_for() -> None:
    z = np.arange(4, dtype=np.float32).reshape(2, 2).T  # not in row-major order in memory
    found = answer(want("z", True), want("y", False), y=Y, z=z)
    assert found.json_bytes is not None
    head = orjson.loads(found.body[: found.json_bytes])
    assert [one["name"] for one in head["outputs"]] == ["z", "y"]
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert "data" not in head["outputs"][0]
    assert found.body[found.json_bytes :] == z.tobytes()


@pytest.mark.parametrize("name", sorted(NUMPY))
@pytest.mark.parametrize("binary", [True, False])
def test_an_output_of_any_datatype_comes_back_as_it_is(name: str, binary: bool) -> None:
    tensor = np.array([[0, 1, 1]], NUMPY[name])
    found = answer(want("y", binary), y=tensor)
    head: Any = orjson.loads(found.body[: found.json_bytes])
    assert head["outputs"][0]["datatype"] == name
    back = (
        np.frombuffer(found.body[found.json_bytes :], tensor.dtype)
        if binary
        else np.array(head["outputs"][0]["data"], tensor.dtype)
    )
    assert back.tolist() == [0, 1, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_json_cannot_say_is_not_said_in_json(value: float) -> None:
    tensor = np.array([[value, 1, 2]], np.float32)
    with pytest.raises(InvalidInput, match="ask for binary data"):
        answer(want("y", False), y=tensor)
    found = answer(want("y", True), y=tensor)
    assert found.body.endswith(tensor.tobytes())


def test_classes_are_value_index_and_label_the_largest_first() -> None:
    found = answer(want("y", False, classes=2), y=Y)
    (output,) = orjson.loads(found.body)["outputs"]
    assert output == {
        "name": "y",
        "datatype": "BYTES",
        "shape": [1, 2],
        "data": ["2.000000:1:class_1", "1.000000:2:class_2"],
    }
    binary = answer(want("y", True, classes=1), y=Y)
    text = b"2.000000:1:class_1"
    assert binary.body[binary.json_bytes :] == len(text).to_bytes(4, "little") + text


def test_classes_of_equals_nan_and_more_than_there_are() -> None:
    rows = np.array([[1, 3, 3], [np.nan, 2, 0]], np.float32)
    assert classes_of(rows, 9, ()) == [
        ["3.000000:1", "3.000000:2", "1.000000:0"],
        ["2.000000:1", "0.000000:2", "nan:0"],
    ]
    assert packed(["一"]) == b"\x03\0\0\0" + "一".encode()


def test_labels_belong_to_the_outputs_that_the_manifest_says() -> None:
    cxr = shipped("cxr_pneumonia")
    assert len(cxr.outputs["logits"].labels) == 2
    assert len(cxr.outputs["logits_kind"].labels) == 2
    assert cxr.outputs["logits"].labels != cxr.outputs["logits_kind"].labels
    assert cxr.outputs["features"].labels == ()
    assert len(shipped("department").outputs["logits"].labels) == 57
