"""A picture for people's eyes from decoded pixels: a fresh PNG without anything of the upload."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_SIDE = 2048


def to_png(pixels: npt.NDArray[np.float32]) -> bytes:
    """An 8-bit grey PNG of pixels [H, W] in 0..1, longest side at most `MAX_SIDE`."""
    image = Image.fromarray(np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
