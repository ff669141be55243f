"""The one way an image becomes a classifier's input, in training, evaluation and serving alike.

Relies on numpy and Pillow only. It never looks at a label, a file name or a batch: the same pixels
give the same tensor whoever else is in the batch.

The scheme is chosen for images acquired elsewhere. After a margin is cut away and the rest is
squashed to a square, grey values are replaced by their rank among the pixels of the middle of the
picture (histogram equalisation without a clip limit). Any strictly increasing curve, so exposure,
gamma and contrast short of saturation, leaves ranks as they are. A soft mask then blanks the
corners, where side markers and burned-in text sit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

FloatImage = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.float32] | npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_BINS = 1024
_UNIFORM_STD = 0.28867513  # standard deviation of a uniform variable on 0..1


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """What `preprocess` does; written into the manifest so that serving repeats it exactly.

    size: side of the square output in pixels.
    margin: fraction of each side that is cut away before anything else.
    reference: fraction of the side, centred, whose pixels define the ranks.
    mask_radius, mask_power: the superellipse |x|^p + |y|^p = r^p (x, y in -1..1) beyond which
        the image fades to zero; a radius of 2 or more switches the mask off.
    """

    size: int = 128
    margin: float = 0.04
    reference: float = 0.8
    mask_radius: float = 1.0
    mask_power: float = 4.0


def to_unit_float(pixels: Pixels) -> FloatImage:
    """Grey pixels [H, W] as float32 in 0..1; integers are divided by their type's maximum."""
    if pixels.ndim != 2:
        raise ValueError(f"expected a grey image [H, W], got shape {pixels.shape}")
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255.0
    if pixels.dtype == np.uint16:
        return pixels.astype(np.float32) / 65535.0
    return np.clip(np.nan_to_num(pixels.astype(np.float32)), 0.0, 1.0)


def preprocess(pixels: Pixels, spec: PreprocessSpec) -> FloatImage:
    """Model input [1, size, size], about zero mean and unit variance, from grey pixels [H, W].

    The aspect ratio is not kept: the training images were squashed to squares too.
    """
    image = _cut_margin(to_unit_float(pixels), spec.margin)
    # reducing_gap keeps the cost of a 10-megapixel radiograph at a few milliseconds.
    squashed = Image.fromarray(image, mode="F").resize(
        (spec.size, spec.size), Image.Resampling.BILINEAR, reducing_gap=3.0
    )
    ranks = equalise(np.asarray(squashed, dtype=np.float32), spec.reference)
    standard = (ranks - np.float32(0.5)) / np.float32(_UNIFORM_STD)
    mask = _corner_mask(spec.size, spec.mask_radius, spec.mask_power)
    out: FloatImage = np.ascontiguousarray((standard * mask)[None], dtype=np.float32)
    return out


def equalise(image: FloatImage, reference: float) -> FloatImage:
    """Rank of every pixel [S, S] among the pixels of the central square, in 0..1.

    A flat image comes out as 0.5 everywhere. `reference` is the square's side as a fraction.
    """
    size = image.shape[0]
    edge = round(size * (1.0 - reference) / 2.0)
    centre = image[edge : size - edge, edge : size - edge]
    low, high = float(centre.min()), float(centre.max())
    if high - low < 1e-4:
        return np.full_like(image, 0.5)
    counts, _ = np.histogram(centre, bins=_BINS, range=(low, high))
    cdf = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)]) / centre.size
    position = np.clip((image - low) * (_BINS / (high - low)), 0.0, _BINS)
    left = np.minimum(position.astype(np.int32), _BINS - 1)
    fraction = position - left
    ranks: FloatImage = (cdf[left] * (1.0 - fraction) + cdf[left + 1] * fraction).astype(np.float32)
    return ranks


def _cut_margin(image: FloatImage, margin: float) -> FloatImage:
    height, width = image.shape
    top, left = round(height * margin), round(width * margin)
    return np.ascontiguousarray(image[top : height - top, left : width - left])


@lru_cache(maxsize=8)
def _corner_mask(size: int, radius: float, power: float) -> FloatImage:
    axis = np.abs((np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0)
    distance = (axis[None, :] ** power + axis[:, None] ** power) ** (1.0 / power)
    mask: FloatImage = np.clip((radius - distance) / 0.06, 0.0, 1.0).astype(np.float32)
    mask.setflags(write=False)
    return mask
