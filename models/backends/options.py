"""What an operator may say of how one model runs: `FENZHEN_BACKENDS`, and nothing that changes
what a model computes beyond what its manifest was measured for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.manifest import Precision, Runtime

Provider = Literal["cpu", "cuda", "tensorrt"]
"""Where ONNX Runtime runs a network, in short words."""
Device = Literal["cpu", "cuda"]
"""Where torch runs a network."""


class BackendOptions(BaseModel):
    """One model's options. What is left out is as the manifest, or the server's default, says.

    `memory_limit_mb` bounds the arena of ONNX Runtime on one GPU; torch takes what it needs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Runtime | None = None
    providers: tuple[Provider, ...] | None = Field(None, min_length=1)
    device: Device = "cpu"
    device_id: int = Field(0, ge=0)
    precision: Precision = "fp32"
    max_batch: int = Field(64, ge=1, le=4096)
    """Largest batch for which torch keeps a CUDA graph."""
    cuda_graphs: bool = True
    """Capture every usual shape at the start; off where a network cannot be captured."""
    memory_limit_mb: int | None = Field(None, ge=64)
    arena: Literal["double", "exact"] = "double"
    """How ONNX Runtime's arena on a GPU grows: by doubling, or by what is asked."""
    engine_cache: Path | None = None
    """Folder of built TensorRT engines: building one takes minutes. Whoever may write there
    decides what runs."""

    @field_validator("providers")
    @classmethod
    def _once(cls, providers: tuple[Provider, ...] | None) -> tuple[Provider, ...] | None:
        if providers is not None and len(set(providers)) < len(providers):
            raise ValueError("a provider is named twice")
        return providers
