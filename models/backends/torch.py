"""The torch backend: a program of `torch.export` on a GPU, or on the CPU.

On a GPU every usual shape is a CUDA graph, and a batch is copied while the one before computes.
On the CPU the same classes run the program as it is: for tests, and where ONNX Runtime cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.backends import Tensor, Tensors
from models.backends.buckets import Bucket, Buckets, trim
from models.backends.execution import Eager, Execution, OnStream
from models.backends.options import BackendOptions
from models.backends.staging import HostLane, Lane, Lanes, PinnedLane
from models.backends.torch_precision import cast_weights, exact_sums
from models.backends.torch_program import load_program, need_torch
from models.backends.warm_up import zeros
from models.errors import ModelIntegrityError, ModelRunError, ModelUnavailable
from models.manifest import Manifest, TensorSpec

if TYPE_CHECKING:
    import torch

LANES = 2
"""One batch computes while the next is copied; more would only hold memory."""


class TorchBackend:
    """One program on one device. Batches of up to `options.max_batch` rows run at the manifest's
    buckets; anything else runs as it is.

    On the CPU, `threads` is what a calling thread may use; its team keeps to the cores that the
    caller is pinned to. `pad` pads to buckets there, too, which only tests need.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        options: BackendOptions | None = None,
        *,
        threads: int = 1,
        pad: bool = False,
    ) -> None:
        """Raises ModelUnavailable without torch or GPU, ModelIntegrityError for a program that is
        damaged or computes something else than the manifest says."""
        options = options or BackendOptions()
        need_torch()
        device = _device(options)
        program = load_program(path, device)
        self._threads = threads
        self._inputs = _in_order(program.inputs, manifest.inputs, path)
        self._outputs = _in_order(program.outputs, manifest.outputs, path)
        cast_weights(program.module, options.precision)
        eager = Eager(program, options.device, options.precision)
        fixed = pad or (options.device == "cuda" and options.cuda_graphs)
        self._buckets: Buckets | None = None
        if fixed:
            self._buckets = Buckets(self._inputs, options.max_batch, manifest.length_buckets)
        self._execution: Execution | None = eager
        if options.device == "cpu":
            self._lanes = Lanes([HostLane() for _ in range(LANES)])
        else:
            self._execution, self._lanes = _on_gpu(eager, device, self._buckets)
        self._check(manifest, path)

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """See `Backend.run`."""
        try:
            return self._run(inputs)
        except ModelRunError:
            raise
        except Exception as error:
            raise ModelRunError(type(error).__name__) from error

    def close(self) -> None:
        """See `Backend.close`; waits for what runs."""
        with self._lanes.all():
            self._execution = None

    def _run(self, inputs: Tensors) -> dict[str, Tensor]:
        given = [_fitting(inputs, spec) for spec in self._inputs]
        bucket = None if self._buckets is None else self._buckets.of(given)
        shapes = [tensor.shape for tensor in given]
        if bucket is not None and self._buckets is not None:
            shapes = self._buckets.shapes(bucket)
        with self._lanes.lent() as lane:
            self._queue(lane, given, shapes, bucket)
            found = lane.collect()
        outputs = {spec.name: value for spec, value in zip(self._outputs, found, strict=True)}
        if bucket is None:
            return outputs
        first = given[0].shape
        return trim(outputs, self._outputs, first[0], first[1] if len(first) > 1 else 0)

    def _queue(
        self, lane: Lane, given: Sequence[Tensor], shapes: Sequence[tuple[int, ...]],
        bucket: Bucket | None,
    ) -> None:  # fmt: skip
        import torch

        execution = self._execution
        if execution is None:
            raise ModelRunError("closed")
        if torch.get_num_threads() != self._threads:
            # Of the calling thread alone: each has a team of its own.
            torch.set_num_threads(self._threads)
        execution.run(lane, lane.fill(given, shapes), bucket)

    def _check(self, manifest: Manifest, path: Path) -> None:
        """Rows of zeros come out as the manifest says."""
        found = self.run(zeros(manifest, 2))
        for spec in manifest.outputs:
            value = found[spec.name]
            fits = value.ndim == len(spec.shape) and value.dtype == spec.dtype and len(value) == 2
            if not fits or any(
                size not in (-1, n) for size, n in zip(spec.shape, value.shape, strict=True)
            ):
                raise ModelIntegrityError(
                    f"{path.name}: {spec.name} is {value.dtype} {value.shape}, "
                    f"declared {spec.dtype} {spec.shape}"
                )


def _device(options: BackendOptions) -> str:
    import torch

    if options.device == "cpu":
        return "cpu"
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if options.device_id >= there:
        raise ModelUnavailable(
            f"device cuda:{options.device_id} was asked for, and torch {torch.__version__} "
            f"sees {there} GPUs"
        )
    exact_sums()
    return f"cuda:{options.device_id}"


def _on_gpu(eager: Eager, device: str, buckets: Buckets | None) -> tuple[Execution, Lanes]:
    import torch

    place = torch.device(device)
    stream = torch.cuda.Stream(place)  # type: ignore[no-untyped-call]
    examples: dict[Bucket, list[torch.Tensor]] = {}
    with torch.cuda.device(place):
        if buckets is not None:
            examples = {bucket: _ones(buckets, bucket, place) for bucket in buckets}
        torch.cuda.synchronize(place)
        execution = OnStream(eager, stream, buckets, examples)
        return execution, Lanes([PinnedLane(place, stream) for _ in range(LANES)])


def _ones(buckets: Buckets, bucket: Bucket, place: torch.device) -> list[torch.Tensor]:
    import torch

    return [
        torch.ones(shape, dtype=getattr(torch, spec.dtype), device=place)
        for shape, spec in zip(buckets.shapes(bucket), buckets.specs, strict=True)
    ]


def _in_order(
    names: Sequence[str], specs: Sequence[TensorSpec], path: Path
) -> tuple[TensorSpec, ...]:
    """The manifest's tensors in the program's order."""
    known = {spec.name: spec for spec in specs}
    if sorted(names) != sorted(known):
        raise ModelIntegrityError(
            f"{path.name} has the tensors {', '.join(names)}, the manifest {', '.join(known)}"
        )
    return tuple(known[name] for name in names)


def _fitting(inputs: Tensors, spec: TensorSpec) -> Tensor:
    """The input of that name, as the manifest declares it.

    A program without guards runs at any shape, so what ONNX Runtime would refuse is refused here.
    """
    tensor = inputs.get(spec.name)
    if (
        tensor is None
        or tensor.dtype != spec.dtype
        or tensor.ndim != len(spec.shape)
        or any(size not in (-1, n) for size, n in zip(spec.shape, tensor.shape, strict=True))
        or 0 in tensor.shape
    ):
        raise ModelRunError(f"input {spec.name} is not {spec.dtype} {spec.shape}")
    return np.asarray(tensor)
