"""What a worker of a model does with a batch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.backends import Backend, Tensor, Tensors
from models.batching import join, rows_of, split
from models.errors import ModelRunError

Outcome: TypeAlias = dict[str, Tensor] | Exception
"""What became of one request."""


@dataclass(frozen=True)
class Worker:
    """A network and the processor cores that it keeps to; none: wherever there is room.

    Workers of one model may share a network where it is thread-safe and not pinned.
    """

    backend: Backend
    cores: tuple[int, ...] = ()


def run_together(backend: Backend, requests: Sequence[Tensors]) -> list[Outcome]:
    """The outputs of each request, or what went wrong with all of them.

    Raises nothing: whatever happens here, others wait behind this batch.
    """
    try:
        rows = [rows_of(tensors) for tensors in requests]
        outputs = backend.run(join(requests))
        if any(output.shape[0] != sum(rows) for output in outputs.values()):
            raise ModelRunError("the network answered other rows than it was asked")
        return list(split(outputs, rows))
    except Exception as error:
        return [error] * len(requests)


def run_batch(
    backend: Backend, requests: Mapping[Hashable, Tensors]
) -> tuple[dict[Hashable, Outcome], bool]:
    """The outcome of each request, and whether each had to be run by itself.

    A batch that fails is run again request by request: a bad one must not cost the others theirs.
    """
    if not requests:
        return {}, False
    outcomes = run_together(backend, list(requests.values()))
    apart = len(requests) > 1 and isinstance(outcomes[0], Exception)
    if apart:
        outcomes = [run_together(backend, [tensors])[0] for tensors in requests.values()]
    return dict(zip(requests, outcomes, strict=True)), apart
