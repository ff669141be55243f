"""Where a batch waits for its turn on the device: buffers that are filled while another computes.

A backend has two lanes. While the network runs on what one holds, the next caller fills the
other; on a GPU through pinned memory and a stream of its own, so that the copy needs neither the
processor nor the stream that computes. On the CPU a lane only pads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.backends import Tensor
from models.backends.buckets import pad_into

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]


class Lane(Protocol):
    """Buffers of one batch. One caller at a time holds a lane, from `fill` to `collect`."""

    def fill(self, inputs: Sequence[Tensor], shapes: Sequence[Shape]) -> list[torch.Tensor]:
        """The batch on the device, padded to `shapes`; on a GPU the copy may still be under way."""
        ...

    def before(self) -> None:
        """Called in order on the stream that computes: its work waits for the copy."""
        ...

    def after(self, outputs: Sequence[torch.Tensor]) -> None:
        """Called on the stream that computes: the copy back follows its work."""
        ...

    def collect(self) -> list[Tensor]:
        """Wait for the outputs; the caller's own from here on."""
        ...


class HostLane:
    """A lane where network and caller share memory."""

    def __init__(self) -> None:
        self._outputs: list[Tensor] = []

    def fill(self, inputs: Sequence[Tensor], shapes: Sequence[Shape]) -> list[torch.Tensor]:
        """See `Lane`. Always a copy: a network may write to its inputs, which are its callers'."""
        import torch

        filled = []
        for tensor, shape in zip(inputs, shapes, strict=True):
            batch = np.empty(shape, dtype=tensor.dtype)
            pad_into(batch, tensor)
            filled.append(torch.from_numpy(batch))
        return filled

    def before(self) -> None:
        """Nothing is under way."""

    def after(self, outputs: Sequence[torch.Tensor]) -> None:
        """See `Lane`."""
        self._outputs = [output.numpy() for output in outputs]

    def collect(self) -> list[Tensor]:
        """See `Lane`."""
        outputs, self._outputs = self._outputs, []
        return outputs


class PinnedLane:
    """A lane through pinned memory: copies run on a stream of their own."""

    def __init__(self, device: torch.device, computing: torch.cuda.Stream) -> None:
        import torch

        self._device, self._computing = device, computing
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._filled = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._host: dict[int, torch.Tensor] = {}
        self._there: dict[int, torch.Tensor] = {}
        self._back: list[torch.Tensor] = []
        self._busy = False

    def fill(self, inputs: Sequence[Tensor], shapes: Sequence[Shape]) -> list[torch.Tensor]:
        """See `Lane`."""
        import torch

        if self._busy:
            # The batch before failed on its way: nothing of it may still read these buffers.
            torch.cuda.synchronize(self._device)
        self._busy = True
        filled = []
        for place, (tensor, shape) in enumerate(zip(inputs, shapes, strict=True)):
            host, there = self._buffers(place, tensor.dtype, shape)
            pad_into(host.numpy(), tensor)
            with torch.cuda.stream(self._copying):
                there.copy_(host, non_blocking=True)
            filled.append(there)
        self._filled.record(self._copying)
        return filled

    def before(self) -> None:
        """See `Lane`."""
        self._computing.wait_event(self._filled)

    def after(self, outputs: Sequence[torch.Tensor]) -> None:
        """See `Lane`. Outputs are small: they follow on the computing stream, before the next
        batch may write where a CUDA graph left them."""
        import torch

        self._back = [torch.empty(o.shape, dtype=o.dtype, pin_memory=True) for o in outputs]
        for host, output in zip(self._back, outputs, strict=True):
            host.copy_(output, non_blocking=True)
        self._done.record(self._computing)

    def collect(self) -> list[Tensor]:
        """See `Lane`."""
        self._done.synchronize()
        outputs, self._back = self._back, []
        self._busy = False
        return [np.array(output.numpy()) for output in outputs]

    def _buffers(
        self, place: int, dtype: np.dtype[np.generic], shape: Shape
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Views of this input's two buffers; they grow to the largest batch and stay."""
        import torch

        wanted = prod(shape)
        if place not in self._host or len(self._host[place]) < wanted:
            kind = torch.from_numpy(np.empty(0, dtype=dtype)).dtype
            self._host[place] = torch.empty(wanted, dtype=kind, pin_memory=True)
            self._there[place] = torch.empty(wanted, dtype=kind, device=self._device)
            # The memory may have been another tensor's on another stream; seldom, so wait for all.
            torch.cuda.synchronize(self._device)
        return self._host[place][:wanted].view(shape), self._there[place][:wanted].view(shape)


class Lanes:
    """The lanes of one backend, lent to one caller each."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._free: SimpleQueue[Lane] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = len(lanes)
        for lane in lanes:
            self._free.put(lane)

    @contextmanager
    def lent(self) -> Iterator[Lane]:
        """A free lane; waits for one."""
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    @contextmanager
    def all(self) -> Iterator[None]:
        """Every lane: whoever is inside is alone."""
        with self._lock:
            held = [self._free.get() for _ in range(self._count)]
            try:
                yield
            finally:
                for lane in held:
                    self._free.put(lane)
