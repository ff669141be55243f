"""ONNX Runtime backend: CPU by default, CUDA and TensorRT by list."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from models.backends import Tensor, Tensors
from models.backends.options import BackendOptions, Provider
from models.backends.providers import configured, started
from models.errors import ModelRunError, ModelUnavailable

ort.set_default_logger_severity(3)


class OnnxBackend:
    """One ONNX Runtime session.

    `threads` are intra-op threads, the calling one among them; spinning is off because several
    models share few cores and a spinning idle session steals time from the one that works.
    `cores` pins the session's own threads to all but the first of them; the first is for the
    thread that calls `run`, which whoever owns it pins. Two backends on disjoint cores share
    neither threads nor cores.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        providers: Sequence[Provider] = ("cpu",),
        cores: Sequence[int] | None = None,
        options: BackendOptions | None = None,
    ) -> None:
        """Raises ModelUnavailable where a provider is missing or the cores do not fit."""
        wanted = configured(providers, options or BackendOptions())
        session = ort.SessionOptions()
        session.intra_op_num_threads = threads
        session.inter_op_num_threads = 1
        session.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if cores:
            pins = affinities(threads, cores)
            if pins:
                session.add_session_config_entry("session.intra_op_thread_affinities", pins)
        opened = ort.InferenceSession(str(path), session, providers=wanted, enable_fallback=0)
        started(opened, providers)
        self._session: ort.InferenceSession | None = opened
        self.output_names = [o.name for o in opened.get_outputs()]
        self._bindings: Bindings | None = None
        if providers[0] != "cpu":
            device_id = 0 if options is None else options.device_id
            self._bindings = Bindings(opened, self.output_names, device_id)

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """See `Backend.run`."""
        session, bindings = self._session, self._bindings
        if session is None:
            raise ModelRunError("closed")
        try:
            outputs = session.run(None, dict(inputs)) if bindings is None else bindings.run(inputs)
        except Exception as error:
            raise ModelRunError(type(error).__name__) from error
        return dict(zip(self.output_names, outputs, strict=True))

    def close(self) -> None:
        """See `Backend.close`; the session goes with the last call that still runs."""
        self._session = self._bindings = None


class Bindings:
    """Runs a session on a GPU with inputs and outputs bound there: one IO binding per thread.

    Inputs are copied to the GPU before the network starts and outputs once when it ends, instead
    of at the node that needs or gives them.
    """

    def __init__(
        self, session: ort.InferenceSession, outputs: Sequence[str], device_id: int,
        device: str = "cuda",
    ) -> None:  # fmt: skip
        self._session, self._outputs = session, tuple(outputs)
        self._device, self._device_id = device, device_id
        self._own = threading.local()

    def run(self, inputs: Tensors) -> list[Tensor]:
        """The outputs in order, on the CPU."""
        binding = getattr(self._own, "binding", None)
        if binding is None:
            binding = self._own.binding = self._session.io_binding()
        values = []
        for name, tensor in inputs.items():
            value = ort.OrtValue.ortvalue_from_numpy(tensor, self._device, self._device_id)
            binding.bind_ortvalue_input(name, value)
            values.append(value)
        # Bound anew each time: sizes change with the batch, and what was given back is the
        # caller's.
        for name in self._outputs:
            binding.bind_output(name, self._device, self._device_id)
        try:
            self._session.run_with_iobinding(binding)
            found: list[Tensor] = binding.copy_outputs_to_cpu()
        finally:
            binding.clear_binding_inputs()
            binding.clear_binding_outputs()
        return found


def affinities(threads: int, cores: Sequence[int]) -> str:
    """ONNX Runtime's `session.intra_op_thread_affinities`: thread i of its own on `cores[i]`.

    One entry for each thread but the calling one, numbered from 1. Raises ModelUnavailable where
    there are more threads than cores, or a core that this process may not use.
    """
    if threads > len(set(cores)):
        raise ModelUnavailable(
            f"{threads} threads and {len(set(cores))} cores: one needs a core each"
        )
    foreign = set(cores) - os.sched_getaffinity(0)
    if foreign:
        raise ModelUnavailable(f"this process may not use core {min(foreign)}")
    return ";".join(str(core + 1) for core in list(dict.fromkeys(cores))[1:threads])
