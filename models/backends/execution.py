"""How a loaded program is run: operator by operator, or as CUDA graphs captured per bucket.

A CUDA graph replays all kernels of a network at one shape with a single call: small batches then
take the GPU's time and not the processor's (NVIDIA, "Getting Started with CUDA Graphs", 2019).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.backends.buckets import Bucket, Buckets
from models.backends.staging import Lane
from models.backends.torch_precision import computing
from models.backends.torch_program import Program
from models.errors import ModelUnavailable
from models.manifest import Precision

if TYPE_CHECKING:
    import torch

_WARM_RUNS = 3


class Execution(Protocol):
    """Runs one batch that lies in a lane."""

    def run(self, lane: Lane, inputs: Sequence[torch.Tensor], bucket: Bucket | None) -> None:
        """Compute; the lane takes the outputs."""
        ...


class Eager:
    """Operator by operator, outputs in fp32 where they are floats."""

    def __init__(self, program: Program, device: str, precision: Precision) -> None:
        self._program, self._device, self._precision = program, device, precision

    def run(self, lane: Lane, inputs: Sequence[torch.Tensor], bucket: Bucket | None) -> None:
        """See `Execution`."""
        lane.before()
        lane.after(self.outputs(inputs))

    def outputs(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the program says of a batch on its device."""
        import torch

        with torch.inference_mode(), computing(self._device, self._precision):
            found = self._program(inputs)
        return [o.float() if o.is_floating_point() else o for o in found]


@dataclass(frozen=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]


class OnStream:
    """On a GPU, on one stream: a batch waits for its copy there, and for the batch before.

    With `buckets`, each has a graph from the start. Graphs share one pool of memory, which is
    safe because they run one after the other and what one leaves is copied before the next.
    """

    def __init__(
        self, eager: Eager, stream: torch.cuda.Stream, buckets: Buckets | None,
        examples: dict[Bucket, list[torch.Tensor]],
    ) -> None:  # fmt: skip
        """`examples`: a batch on the GPU for every bucket; it becomes the graph's own."""
        import torch

        self._eager, self._stream = eager, stream
        self._turn = threading.Lock()
        self._graphs: dict[Bucket, _Captured] = {}
        if buckets is not None:
            pool = torch.cuda.graph_pool_handle()
            for bucket in buckets:
                self._graphs[bucket] = self._capture(examples[bucket], pool)

    @property
    def captured(self) -> int:
        """How many graphs there are."""
        return len(self._graphs)

    def run(self, lane: Lane, inputs: Sequence[torch.Tensor], bucket: Bucket | None) -> None:
        """See `Execution`: queues the work and returns while it is under way."""
        import torch

        captured = None if bucket is None else self._graphs.get(bucket)
        with self._turn, torch.cuda.stream(self._stream):
            lane.before()
            if captured is None:
                lane.after(self._eager.outputs(inputs))
                return
            for own, given in zip(captured.inputs, inputs, strict=True):
                own.copy_(given, non_blocking=True)
            captured.graph.replay()
            lane.after(captured.outputs)

    def _capture(self, inputs: list[torch.Tensor], pool: torch.cuda._POOL_HANDLE) -> _Captured:
        import torch

        try:
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_RUNS):
                    self._eager.outputs(inputs)
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Other models may be opened by other threads meanwhile.
            with torch.cuda.graph(
                graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                outputs = self._eager.outputs(inputs)
        except RuntimeError as error:
            raise ModelUnavailable(
                "the network cannot be captured as a CUDA graph; set cuda_graphs to false"
            ) from error
        return _Captured(graph, inputs, outputs)
