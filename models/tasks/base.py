"""The Task protocol: prepare, run on a batch, finish. Pure, so evaluation calls it in a loop."""

from __future__ import annotations

from typing import Protocol, TypeVar

from models.backends import Backend, Tensors

RequestT = TypeVar("RequestT", contravariant=True)
ResultT = TypeVar("ResultT", covariant=True)


class Task(Protocol[RequestT, ResultT]):
    """What the engine and the evaluations know of a hosted capability.

    `prepare` returns tensors for exactly one row (axis 0 has length 1); `finish` gets the
    outputs of that row. Neither touches a clock, a database or a network.
    """

    @property
    def model(self) -> str:
        """The name of the model in the repository."""
        ...

    def prepare(self, request: RequestT) -> Tensors:
        """Tensors for one request."""
        ...

    def finish(self, request: RequestT, outputs: Tensors) -> ResultT:
        """The result for one request from the network's outputs."""
        ...


def run_alone(task: Task[RequestT, ResultT], backend: Backend, request: RequestT) -> ResultT:
    """The three steps without an engine, for evaluation, tests and replay."""
    return task.finish(request, backend.run(task.prepare(request)))
