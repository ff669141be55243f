"""ONNX Runtime's execution providers, by short words and with the options that we set.

Precision is ours to choose, so TF32 is off: it keeps ten bits of a float's 23 and is on by
default. A provider that was asked for and is not there is an error and never a slower answer.
Options: https://onnxruntime.ai/docs/execution-providers/
"""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime as ort

from models.backends.options import BackendOptions, Provider
from models.errors import ModelUnavailable

NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
EXTRAS: dict[Provider, str] = {"cpu": "cpu", "cuda": "gpu", "tensorrt": "gpu"}
_ARENAS = {"double": "kNextPowerOfTwo", "exact": "kSameAsRequested"}

Configured = tuple[str, dict[str, str]]
"""A provider's name in ONNX Runtime, and its options."""


def configured(providers: Sequence[Provider], options: BackendOptions) -> list[Configured]:
    """The list that a session takes, in order; raises ModelUnavailable where one is missing."""
    there = installed()
    for word in providers:
        if word not in there:
            raise ModelUnavailable(
                f"provider {word} is not in the installed onnxruntime, which has "
                f"{', '.join(there)}: pip install 'fenzhen[{EXTRAS[word]}]'"
            )
    return [(NAMES[word], _options(word, options)) for word in providers]


def installed() -> tuple[Provider, ...]:
    """The short words of what the installed onnxruntime has."""
    names = ort.get_available_providers()
    return tuple(word for word, name in NAMES.items() if name in names)


def started(session: ort.InferenceSession, providers: Sequence[Provider]) -> None:
    """Raise ModelUnavailable where a provider was left out because its driver did not start."""
    running = session.get_providers()
    for word in providers:
        if NAMES[word] not in running:
            raise ModelUnavailable(
                f"provider {word} is installed but did not start: no GPU, or a driver or library "
                "that does not fit"
            )


def _options(word: Provider, options: BackendOptions) -> dict[str, str]:
    if word == "cuda":
        found = {
            "device_id": str(options.device_id),
            "arena_extend_strategy": _ARENAS[options.arena],
            "use_tf32": "0",
        }
        if options.memory_limit_mb is not None:
            found["gpu_mem_limit"] = str(options.memory_limit_mb * 2**20)
        return found
    if word == "tensorrt":
        found = {
            "device_id": str(options.device_id),
            "trt_fp16_enable": str(int(options.precision == "fp16")),
        }
        if options.engine_cache is not None:
            found |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(options.engine_cache),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(options.engine_cache),
            }
        return found
    return {}
