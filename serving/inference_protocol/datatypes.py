"""The protocol's names of tensor types, and numpy's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

NUMPY: Mapping[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Little-endian, as binary tensor data is."""
NAMES: Mapping[np.dtype[np.generic], str] = {dtype: name for name, dtype in NUMPY.items()}
BYTES = "BYTES"
"""Strings: what a classification answers with. No model takes them."""
