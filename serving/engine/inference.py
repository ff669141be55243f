"""What the rest of the server knows of an engine: one call, its answer and its refusals.

Three things keep this promise: `Engine` in this process, a client of the process that owns the
accelerator, and Ray Serve. Who asks cannot tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from models.backends import Tensor, Tensors
from models.repository import ModelEntry


class Priority(IntEnum):
    """Scheduling classes, most urgent first."""

    emergency = 0
    interactive = 1
    bulk = 2


class QueueFull(Exception):
    """No room, or no chance to be in time: the caller should try again after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the queue is full")
        self.retry_after_s = retry_after_s


class TooManyRows(Exception):
    """One request holds more rows than may ever wait: `most` would do."""

    def __init__(self, most: int) -> None:
        super().__init__(f"at most {most} rows in one request")
        self.most = most


class DeadlinePassed(Exception):
    """The deadline came before the answer."""


class EngineStopped(Exception):
    """The engine is draining and takes nothing new."""


@dataclass(frozen=True)
class Inference:
    """The outputs of one request; the seconds it waited and its batch computed."""

    outputs: dict[str, Tensor]
    queue_s: float
    inference_s: float


class InferenceEngine(Protocol):
    """Hosts models by identity (`NAME@VERSION`)."""

    @property
    def models(self) -> tuple[str, ...]:
        """Identities of the hosted models."""
        ...

    @property
    def alive(self) -> bool:
        """Whether every hosted model can answer."""
        ...

    async def infer(
        self,
        model: str,
        tensors: Tensors,
        *,
        priority: Priority = Priority.interactive,
        timeout_s: float | None = None,
    ) -> Inference:
        """Outputs for a request of one row or many (axis 0 of every tensor).

        Raises UnknownModel, ModelRunError, TooManyRows, QueueFull, DeadlinePassed or
        EngineStopped.
        """
        ...

    async def drain(self) -> None:
        """Take nothing new, finish everything that waits, stop."""
        ...


class ModelHost(InferenceEngine, Protocol):
    """An engine that takes models in and out of service while it runs."""

    async def host(self, entry: ModelEntry) -> None:
        """Load a verified model, warm it up and serve it; nothing where it is served already.

        Raises ModelError.
        """
        ...

    async def remove(self, model: str) -> None:
        """Take a model out of service; whoever asked before gets his answer."""
        ...
