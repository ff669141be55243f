"""ONNX Runtime backend: CPU by default, other providers by list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from models.backends import Tensor, Tensors
from models.errors import ModelRunError

ort.set_default_logger_severity(3)


class OnnxBackend:
    """One ONNX Runtime session.

    `threads` are intra-op threads; spinning is off because several models share few cores
    and a spinning idle session steals time from the one that works.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(path), options, providers=list(providers))
        self.output_names = [o.name for o in self._session.get_outputs()]

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """See `Backend.run`; raises ModelRunError when the network fails."""
        try:
            outputs = self._session.run(None, dict(inputs))
        except Exception as error:
            raise ModelRunError(type(error).__name__) from error
        return dict(zip(self.output_names, outputs, strict=True))
