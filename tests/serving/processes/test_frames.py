"""Bytes between HTTP processes and the owner: nothing is lost, nothing malformed is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.backends import Tensor
from models.errors import ModelError, ModelRunError, UnknownModel
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.processes import frames
from serving.processes.frames import HEADER, MAX_BODY, Chunk, Kind, MalformedFrame
from serving.processes.wire import Wire

DTYPES = st.sampled_from(["?", "<i1", "<u1", "<i4", "<i8", "<f2", "<f4", "<f8"])


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Tensor]:
    rows = draw(st.integers(1, 4))
    names = draw(st.lists(st.text(max_size=20), min_size=1, max_size=4, unique=True))
    rest = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    return {n: draw(hnp.arrays(draw(DTYPES), (rows, *draw(rest)))) for n in names}


def body(chunks: Sequence[Chunk]) -> bytearray:
    return bytearray(b"".join(chunks))


def same(given: dict[str, Tensor], got: dict[str, Tensor]) -> bool:
    return list(given) == list(got) and all(
        given[n].dtype == got[n].dtype
        and given[n].shape == got[n].shape
        and given[n].tobytes() == got[n].tobytes()
        for n in given
    )


def infer_body(given: dict[str, Tensor]) -> bytearray:
    head = frames.infer_head("m@1", Priority.bulk, 1.5)
    return body([head, *frames.packed(given, len(head))])


@given(tensors(), st.sampled_from(Priority), st.none() | st.floats(-1, 1e6), st.text(max_size=50))
def test_a_request_arrives_as_it_was_sent(
    sent: dict[str, Tensor], priority: Priority, timeout_s: float | None, model: str
) -> None:
    head = frames.infer_head(model, priority, timeout_s)
    asked = frames.infer_of(body([head, *frames.packed(sent, len(head))]))
    assert (asked.model, asked.priority, asked.timeout_s) == (model, priority, timeout_s)
    assert same(sent, asked.tensors)
    assert all(t.flags.aligned and t.flags.writeable for t in asked.tensors.values())


@given(tensors(), st.floats(0, 100), st.floats(0, 100))
def test_an_answer_arrives_as_it_was_given(
    outputs: dict[str, Tensor], queue_s: float, inference_s: float
) -> None:
    got = frames.result_of(body(frames.result_body(Inference(outputs, queue_s, inference_s))))
    assert (got.queue_s, got.inference_s) == (queue_s, inference_s)
    assert same(outputs, got.outputs)


def test_a_slice_of_a_larger_tensor_arrives_alone() -> None:
    columns = np.arange(12, dtype=np.float32).reshape(3, 4)[:, 1:3]
    assert same({"x": columns}, frames.infer_of(infer_body({"x": columns})).tensors)


@pytest.mark.parametrize(
    "error",
    [
        QueueFull(2.5), TooManyRows(12), DeadlinePassed("m"), EngineStopped("m"),
        UnknownModel("no m"), ModelRunError("Fail"), ModelError("gone"),
    ],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_a_refusal_arrives_as_itself(error: Exception) -> None:
    got = frames.refused_of(bytearray(frames.refused_body(error)))
    assert type(got) is type(error)
    assert vars(got) == vars(error)


def test_a_foreign_error_is_named_and_not_quoted() -> None:
    got = frames.refused_of(bytearray(frames.refused_body(ValueError("chest pain"))))
    assert type(got) is ModelRunError
    assert str(got) == "ValueError"


def test_objects_are_not_sent() -> None:
    with pytest.raises(ModelRunError):
        frames.packed({"x": np.array([["text"]], dtype=object)}, 0)


@given(tensors(), st.data())
def test_a_cut_or_lengthened_request_is_malformed(
    sent: dict[str, Tensor], data: st.DataObject
) -> None:
    whole = infer_body(sent)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\0"):
        with pytest.raises(MalformedFrame):
            frames.infer_of(wrong)


@given(tensors(), st.data())
def test_changed_bytes_are_read_as_tensors_or_refused_and_nothing_else(
    sent: dict[str, Tensor], data: st.DataObject
) -> None:
    whole = infer_body(sent)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        asked = frames.infer_of(whole)
    except MalformedFrame:
        return
    assert len({t.shape[0] for t in asked.tensors.values()}) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(noise: bytes) -> None:
    for read in (frames.infer_of, frames.result_of, frames.refused_of, frames.identity_of):
        try:
            read(bytearray(noise))  # type: ignore[operator]
        except MalformedFrame:
            continue


# The stream of frames.


class Pipe(asyncio.Transport):
    """Keeps what is written; a wire's other side without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def feed(wire: Wire, data: bytes, sizes: list[int]) -> None:
    """Give a wire its bytes in pieces of those sizes, the last size again and again."""
    at = i = 0
    while at < len(data):
        room = wire.get_buffer(-1)
        n = min(len(room), len(data) - at, sizes[min(i, len(sizes) - 1)])
        room[:n] = data[at : at + n]
        wire.buffer_updated(n)
        at, i = at + n, i + 1


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Kind),
            st.integers(0, 2**64 - 1),
            st.integers(0, 64) | st.integers(1 << 17, 1 << 19),
        ),
        max_size=6,
    ),
    st.lists(st.sampled_from([1, 7, 16, 100, 4096, 1 << 17, 1 << 20]), min_size=1, max_size=4),
)
def test_frames_arrive_whole_and_in_order_however_the_stream_is_cut(
    shapes: list[tuple[Kind, int, int]], sizes: list[int]
) -> None:
    async def scenario() -> None:
        sent = [(kind, request, bytes([request % 251]) * size) for kind, request, size in shapes]
        out = Pipe()
        sender = Wire(lambda *_: None, lambda _: None)
        sender.connection_made(out)
        for kind, request, said in sent:
            sender.send(kind, request, [said])
        await asyncio.sleep(0)
        got: list[tuple[Kind, int, bytes]] = []
        receiver = Wire(lambda k, r, b: got.append((k, r, bytes(b))), lambda _: None)
        receiver.connection_made(Pipe())
        feed(receiver, bytes(out.written), [max(n, 4096) if i else n for i, n in enumerate(sizes)])
        assert got == sent

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "header", [HEADER.pack(MAX_BODY + 1, 0, 1), HEADER.pack(0, 99, 1), b"\xff" * HEADER.size]
)
def test_a_frame_too_large_or_of_no_kind_ends_the_connection(header: bytes) -> None:
    pipe = Pipe()
    wire = Wire(lambda *_: pytest.fail("believed"), lambda _: None)
    wire.connection_made(pipe)
    feed(wire, header, [len(header)])
    assert pipe.aborted
