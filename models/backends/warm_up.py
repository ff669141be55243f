"""What a network is run on before anybody needs it."""

from __future__ import annotations

import numpy as np

from models.backends import Backend, Tensor
from models.manifest import Manifest

DTYPES = {
    "float32": np.float32, "float16": np.float16, "int64": np.int64,
    "int32": np.int32, "uint8": np.uint8, "bool": np.bool_,
}  # fmt: skip
"""Numpy's type for each type that a manifest names."""


def zeros(manifest: Manifest, rows: int = 1, length: int = 8) -> dict[str, Tensor]:
    """Rows of zeros in the shapes of the manifest, dynamic axes of that length."""
    return {
        spec.name: np.zeros(
            [rows, *(length if size < 0 else size for size in spec.shape[1:])],
            dtype=DTYPES[spec.dtype],
        )
        for spec in manifest.inputs
    }


def warm_up(backend: Backend, manifest: Manifest, max_batch: int) -> None:
    """One row and a full batch: memory is taken and kernels are chosen before traffic."""
    for rows in sorted({1, max_batch}):
        backend.run(zeros(manifest, rows))
