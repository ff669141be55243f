"""Fundus photographs: find the disc of the retina, and compare each pixel with its surroundings.

Camera, pupil and pigment change the colour of a retina slowly over the picture; lesions change it
within a few pixels. Subtracting a local mean (after B. Graham's entry to the Kaggle diabetic
retinopathy challenge, 2015) keeps the latter. The mean counts pixels of the disc alone, so that
the black surround throws no halo.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from models.imaging.resize import resized

FloatImage = npt.NDArray[np.float32]

_DARK = 0.08
_THUMBNAIL = 128
_SURROUND = 16  # the local mean is taken over about a sixteenth of the disc's width
_RIM = 0.97  # what lies beyond this radius is the edge of the disc, not retina
_GAIN = np.float32(20.0)
_LIMIT = np.float32(3.0)


def standardise(image: FloatImage, size: int) -> FloatImage:
    """Colours [H, W, 3] in 0..1 -> [3, size, size], each pixel less its surroundings, disc only."""
    disc = cut_disc(image)
    square = resized(disc, size)
    weight = _inner((square.max(axis=2) > _DARK) & _circle(size))
    near = _smooth(weight, _SURROUND, size) + 1e-3
    out = np.empty((3, size, size), dtype=np.float32)
    for c in range(3):
        mean = _smooth(square[..., c] * weight, _SURROUND, size) / near
        out[c] = np.clip((square[..., c] - mean) * _GAIN, -_LIMIT, _LIMIT) * weight
    return out


def cut_disc(image: FloatImage) -> FloatImage:
    """The bounding box of what is not dark, made square by padding with black.

    An image without a dark surround comes back whole (padded to a square).
    """
    top, bottom, left, right = disc_box(image)
    part = image[top:bottom, left:right]
    height, width = part.shape[:2]
    side = max(height, width)
    if height == width:
        return part
    square = np.zeros((side, side, 3), dtype=np.float32)
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = part
    return square


def disc_box(image: FloatImage) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the lit part in pixels; the whole image where none is found."""
    height, width = image.shape[:2]
    step = max(1, min(height, width) // _THUMBNAIL)
    bright = image[::step, ::step].max(axis=2) > _DARK
    rows = np.flatnonzero(bright.mean(axis=1) > 0.05)
    columns = np.flatnonzero(bright.mean(axis=0) > 0.05)
    if len(rows) < 8 or len(columns) < 8:
        return 0, height, 0, width
    return (
        int(rows[0]) * step, min(height, (int(rows[-1]) + 1) * step),
        int(columns[0]) * step, min(width, (int(columns[-1]) + 1) * step),
    )  # fmt: skip


def disc_touches(rgb: npt.NDArray[np.uint8]) -> int:
    """At how many of the four sides [H, W, 3] the lit disc runs out of the picture broadly.

    A whole disc touches none; many cameras cut it at top and bottom. Four: only a part was taken.
    """
    step = max(1, min(rgb.shape[:2]) // _THUMBNAIL)
    lit = rgb[::step, ::step].max(axis=2) > _DARK * 255
    edges = (lit[0], lit[-1], lit[:, 0], lit[:, -1])
    return sum(float(edge.mean()) > 0.6 for edge in edges)


def _smooth(plane: FloatImage, coarse: int, size: int) -> FloatImage:
    small = Image.fromarray(plane, mode="F").resize((coarse, coarse), Image.Resampling.BOX)
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def _inner(seen: npt.NDArray[np.bool_]) -> FloatImage:
    """The mask [S, S] less two pixels all round: the disc's cut edge is no lesion."""
    mask = Image.fromarray(seen.astype(np.uint8)).filter(ImageFilter.MinFilter(5))
    return np.asarray(mask, dtype=np.float32)


def _circle(size: int) -> npt.NDArray[np.bool_]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0
    inside: npt.NDArray[np.bool_] = (axis[None, :] ** 2 + axis[:, None] ** 2) < _RIM**2
    return inside
