"""The one way an image becomes a classifier's input, in training, evaluation and serving alike.

Relies on numpy and Pillow only. It never looks at a label, a file name or a batch: the same pixels
give the same tensor whoever else is in the batch. Every mode is chosen for images acquired
elsewhere:

- `ranks` (radiographs): grey values are replaced by their rank among the pixels of the middle of
  the picture (histogram equalisation without a clip limit). Any strictly increasing curve, so
  exposure, gamma and contrast short of saturation, leaves ranks as they are. A soft mask blanks
  the corners, where side markers and burned-in text sit.
- `grey` (CT patches in a fixed window): grey values as they are, centred and scaled.
- `rgb` (the gate, and networks added from elsewhere, which scale by themselves): the same of each
  colour.
- `colour` (dermoscopy): the light's own colour is divided out (models/imaging/colour.py).
- `retina` (fundus photographs): the disc of the retina is found and cut out, and each pixel is
  compared with its surroundings (models/imaging/retina.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging import colour, retina
from models.imaging.resize import resized

FloatImage = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.float32] | npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_BINS = 1024
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
UNIFORM_STD = 0.28867513  # standard deviation of a uniform variable on 0..1


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """What `preprocess` does; written into the manifest so that serving repeats it exactly.

    mode: see the module. shape: `squash` the picture to a square, or take its `centre` square.
    size: side of the square output in pixels.
    margin: fraction of each side that is cut away before anything else.
    reference: fraction of the side, centred, whose pixels define the ranks.
    window_center, window_width: the window in HU in which a CT is drawn for the network, whatever
        window its file asks for (`models.tasks.imaging`); a width of 0 takes pictures as they are.
    mask_radius, mask_power: the superellipse |x|^p + |y|^p = r^p (x, y in -1..1) beyond which
        the image fades to zero; a radius of 2 or more switches the mask off.
    """

    mode: Literal["ranks", "grey", "rgb", "colour", "retina"] = "ranks"
    shape: Literal["squash", "centre"] = "squash"
    size: int = 128
    margin: float = 0.04
    reference: float = 0.8
    mask_radius: float = 1.0
    mask_power: float = 4.0
    window_center: float = 0.0
    window_width: float = 0.0

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey."""
        return 3 if self.mode in ("rgb", "colour", "retina") else 1

    @property
    def units(self) -> tuple[float, float]:
        """(mean, spread): an input is (brightness in 0..1 - mean) / spread."""
        if self.mode == "colour":
            return float(colour.MEAN), float(colour.SPREAD)
        return 0.5, UNIFORM_STD


def spec_of(stored: Mapping[str, float | int | str | bool]) -> PreprocessSpec:
    """The spec that a manifest's `preprocessing` states; keys of older makers are left out."""
    known = PreprocessSpec.__dataclass_fields__
    return PreprocessSpec(**{k: v for k, v in stored.items() if k in known})  # type: ignore[arg-type]


def to_unit_float(pixels: Pixels) -> FloatImage:
    """Pixels [H, W] or [H, W, 3] as float32 in 0..1; integers divided by their type's maximum."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"expected an image [H, W] or [H, W, 3], got shape {pixels.shape}")
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255.0
    if pixels.dtype == np.uint16:
        return pixels.astype(np.float32) / 65535.0
    return np.clip(np.nan_to_num(pixels.astype(np.float32)), 0.0, 1.0)


def preprocess(pixels: Pixels, spec: PreprocessSpec) -> FloatImage:
    """Model input [C, size, size], about zero mean and unit variance, from [H, W] or [H, W, 3].

    Three channels of a colour mode are the same where the file is grey; a grey mode takes the
    luminance of a colour file.
    """
    image = _with_channels(_thinned(pixels, spec.size), spec.channels)
    if spec.mode == "retina":
        return retina.standardise(image, spec.size)
    framed = resized(frame(image, spec), spec.size)
    if spec.mode == "ranks":
        ranks = equalise(framed, spec.reference)
        standard = (ranks - np.float32(0.5)) / np.float32(UNIFORM_STD)
        mask = _corner_mask(spec.size, spec.mask_radius, spec.mask_power)
        return np.ascontiguousarray((standard * mask)[None], dtype=np.float32)
    if spec.mode == "colour":
        return colour.standardise(framed)
    standard = (framed - np.float32(0.5)) / np.float32(UNIFORM_STD)
    planes = standard[None] if framed.ndim == 2 else standard.transpose(2, 0, 1)
    return np.ascontiguousarray(planes, dtype=np.float32)


class SeenBox(NamedTuple):
    """The part of a picture that reaches the network, as fractions of its height and width.

    It may reach beyond the picture, where a part is padded to a square.
    """

    top: float
    bottom: float
    left: float
    right: float


WHOLE = SeenBox(0.0, 1.0, 0.0, 1.0)


def seen_box(pixels: Pixels, spec: PreprocessSpec) -> SeenBox:
    """What `preprocess` takes of pixels [H, W] or [H, W, 3]."""
    height, width = pixels.shape[:2]
    if spec.mode == "retina":
        image = _with_channels(_thinned(pixels, spec.size), 3)
        top, bottom, left, right = retina.disc_box(image)
        height, width = image.shape[:2]
    elif spec.shape == "centre":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        bottom, right = top + side, left + side
    else:
        top, bottom, left, right = 0, height, 0, width
    tall, wide = bottom - top, right - left
    if spec.mode == "retina":
        pad_y, pad_x = (max(tall, wide) - tall) / 2, (max(tall, wide) - wide) / 2
    else:
        pad_y, pad_x = -tall * spec.margin, -wide * spec.margin
    return SeenBox(
        (top - pad_y) / height, (bottom + pad_y) / height,
        (left - pad_x) / width, (right + pad_x) / width,
    )  # fmt: skip


def frame(image: FloatImage, spec: PreprocessSpec) -> FloatImage:
    """The part of the picture that the network sees, margins cut away, before it is resized."""
    if spec.shape == "centre":
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    return _cut_margin(image, spec.margin)


def _thinned(pixels: Pixels, size: int) -> FloatImage:
    """Unit floats; a large colour picture is first reduced by a whole factor, for its memory."""
    factor = min(pixels.shape[:2]) // (4 * size)
    if pixels.ndim == 3 and pixels.dtype == np.uint8 and factor > 1:
        return to_unit_float(np.asarray(Image.fromarray(pixels).reduce(factor)))
    return to_unit_float(pixels)


def _with_channels(image: FloatImage, channels: int) -> FloatImage:
    if channels == 3 and image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if channels == 1 and image.ndim == 3:
        return np.asarray(image @ _LUMINANCE, dtype=np.float32)
    return image


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
    height, width = image.shape[:2]
    top, left = round(height * margin), round(width * margin)
    return np.ascontiguousarray(image[top : height - top, left : width - left])


@lru_cache(maxsize=8)
def _corner_mask(size: int, radius: float, power: float) -> FloatImage:
    axis = np.abs((np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0)
    distance = (axis[None, :] ** power + axis[:, None] ** power) ** (1.0 / power)
    mask: FloatImage = np.clip((radius - distance) / 0.06, 0.0, 1.0).astype(np.float32)
    mask.setflags(write=False)
    return mask
