"""Where a classifier looked: its saliency map laid over the image, as PNG bytes.

The map shows what moved the score, not what is ill. numpy and Pillow only.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.preprocess import WHOLE, Pixels, SeenBox, to_unit_float

MAX_SIDE = 1024
MAX_LAYER_SIDE = 512
# Our own ramp, dark violet -> red -> orange -> pale yellow: lightness rises evenly, so that the
# map reads the same in grey and for people who confuse red and green.
_RAMP = np.array(
    [
        [0.18, 0.06, 0.32],
        [0.42, 0.09, 0.43],
        [0.66, 0.17, 0.39],
        [0.86, 0.31, 0.28],
        [0.96, 0.51, 0.20],
        [0.99, 0.73, 0.32],
        [1.00, 0.94, 0.67],
    ],
    dtype=np.float32,
)


def colourise(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Colours [..., 3] in 0..1 for values [...] in 0..1."""
    position = np.clip(values, 0.0, 1.0) * (len(_RAMP) - 1)
    left = np.minimum(position.astype(np.int32), len(_RAMP) - 2)
    share = (position - left)[..., None]
    colours: npt.NDArray[np.float32] = _RAMP[left] * (1 - share) + _RAMP[left + 1] * share
    return colours.astype(np.float32)


def overlay_png(
    pixels: Pixels,
    saliency: npt.NDArray[np.float32],
    *,
    box: SeenBox = WHOLE,
    full_scale: float = 8.0,
    opacity: float = 0.6,
) -> bytes:
    """PNG (RGB) of the image [H, W] under its map [h, w], longest side at most 1,024 pixels.

    box: the part of the picture that the map covers.
    full_scale: saliency (in logits) that gets the top colour; a stronger map sets its own scale,
    so that a weak map looks weak. Values below zero speak against the finding: not drawn.
    """
    grey = Image.fromarray(np.rint(to_unit_float(pixels) * 255.0).astype(np.uint8))
    grey.thumbnail((MAX_SIDE, MAX_SIDE))
    strength = _strength(grey.size, saliency, box, full_scale)
    base = np.asarray(grey, dtype=np.float32)[..., None] / 255.0
    weight = (opacity * np.sqrt(strength))[..., None]
    return _png(base * (1 - weight) + colourise(strength) * weight)


def layer_png(
    size: tuple[int, int],
    saliency: npt.NDArray[np.float32],
    *,
    box: SeenBox = WHOLE,
    full_scale: float = 8.0,
) -> bytes:
    """The map [h, w] alone as PNG (RGBA), to be laid over an image of `size` (width, height).

    Nothing of the image is in it: where the map says nothing, it is transparent. Laid over at
    60 % it looks like `overlay_png`. Longest side at most 512 pixels; the other arguments as there.
    """
    longest = max(size)
    shrink = min(1.0, MAX_LAYER_SIDE / longest)
    drawn = (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink)))
    strength = _strength(drawn, saliency, box, full_scale)
    return _png(np.concatenate([colourise(strength), np.sqrt(strength)[..., None]], axis=2))


def _strength(
    size: tuple[int, int], saliency: npt.NDArray[np.float32], box: SeenBox, full_scale: float
) -> npt.NDArray[np.float32]:
    """How strongly each pixel of a picture of `size` (width, height) spoke: [H, W] in 0..1."""
    width, height = size
    top, left = round(box.top * height), round(box.left * width)
    inner = (
        max(1, round((box.right - box.left) * width)),
        max(1, round((box.bottom - box.top) * height)),
    )
    positive = np.maximum(saliency.astype(np.float32), 0.0)
    strength = positive / max(full_scale, float(positive.max(initial=0.0)))
    smooth = Image.fromarray(strength, mode="F").resize(inner, Image.Resampling.BICUBIC)
    # A box may reach beyond the picture: the disc of a retina is padded to a square.
    canvas = np.zeros((height, width), dtype=np.float32)
    y, x = max(0, top), max(0, left)
    part = np.clip(np.asarray(smooth), 0.0, 1.0)[y - top : height - top, x - left : width - left]
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    return canvas


def _png(unit: npt.NDArray[np.floating]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(unit * 255.0).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
