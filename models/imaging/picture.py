"""A picture for people's eyes from decoded pixels: a fresh PNG without anything of the upload."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from models.imaging.decode import DecodedImage

MAX_SIDE = 2048


def drawn(image: DecodedImage) -> Image.Image:
    """The picture in 8 bits: in colour where it has any, else grey."""
    if image.rgb is not None:
        return Image.fromarray(image.rgb)
    return Image.fromarray(np.rint(np.clip(image.pixels, 0.0, 1.0) * 255.0).astype(np.uint8))


def to_png(image: DecodedImage) -> bytes:
    """The picture as a PNG, longest side at most `MAX_SIDE`."""
    picture = drawn(image)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
