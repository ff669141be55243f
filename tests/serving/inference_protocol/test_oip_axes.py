"""Axes' names are read from the ONNX file as ONNX Runtime reads them, and damage is an error."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.repository import SHIPPED, ModelRepository
from serving.inference_protocol.axes import input_axes
from serving.inference_protocol.signature import signature

FILES = sorted(SHIPPED.glob("*/*/model.onnx"))
SMALLEST = min(FILES, key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.parent.name)
def test_the_names_are_those_of_the_network(path: Path) -> None:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert input_axes(path) == {
        one.name: tuple(size if isinstance(size, str) else "" for size in one.shape)
        for one in session.get_inputs()
    }


@given(cut=st.integers(0, 3_000), at=st.integers(0, 3_000), byte=st.integers(0, 255))
@settings(deadline=None, max_examples=50)
def test_a_damaged_file_is_an_error_or_names(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, byte: int
) -> None:
    content = bytearray(SMALLEST.read_bytes())
    content[-1 - at] = byte
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(content[: len(content) - cut])
    try:
        axes = input_axes(path)
    except ValueError:
        return
    assert all(isinstance(name, str) for names in axes.values() for name in names)


def test_what_must_agree_in_the_shipped_models() -> None:
    repository = ModelRepository(allow_noncommercial=True)
    rows = (("ids", 0), ("weights", 0), ("pieces", 0))
    assert signature(repository.get("department")).agreeing == (
        rows,
        (("ids", 1), ("weights", 1)),
    )
    assert signature(repository.get("cxr_pneumonia")).agreeing == ()
    assert signature(repository.get("skin_lesion")).agreeing == ((("image", 0), ("context", 0)),)
