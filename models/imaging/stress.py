"""Named, seeded changes of acquisition that a classifier has to survive.

They stand for what differs between sites: exposure, detector response, field of view, patient
position, compression, resolution and noise. numpy and Pillow only; uint8 [H, W] or [H, W, 3] in,
the same shape out. Evaluation and threshold choice use them; training draws its own random ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Picture = npt.NDArray[np.uint8]
Transform = Callable[[Picture, np.random.Generator], Picture]


def _quantise(values: npt.NDArray[np.floating]) -> Picture:
    levels: Picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels


def _gain(factor: float) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        return _quantise(image.astype(np.float32) * factor)

    return transform


def _gamma(exponent: float) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        return _quantise((image.astype(np.float32) / 255.0) ** exponent * 255.0)

    return transform


def _contrast(factor: float) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        values = image.astype(np.float32)
        return _quantise((values - values.mean()) * factor + values.mean())

    return transform


def _crop(fraction: float) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        height, width = image.shape[:2]
        box = (width * fraction, height * fraction, width * (1 - fraction), height * (1 - fraction))
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized, dtype=np.uint8)

    return transform


def _rotate(degrees: float) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        turned = Image.fromarray(image).rotate(
            degrees,
            Image.Resampling.BILINEAR,
        )
        return np.asarray(turned, dtype=np.uint8)

    return transform


def _jpeg(quality: int) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        return np.asarray(Image.open(buffer), dtype=np.uint8)

    return transform


def _blur(sigma_fraction: float) -> Transform:
    def transform(image: Picture, _: np.random.Generator) -> Picture:
        radius = sigma_fraction * image.shape[1]
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))

    return transform


def _noise(sigma: float) -> Transform:
    def transform(image: Picture, rng: np.random.Generator) -> Picture:
        return _quantise(image.astype(np.float32) + rng.normal(0.0, sigma, image.shape))

    return transform


def _portable(image: Picture, rng: np.random.Generator) -> Picture:
    """A bedside film: tight field, grey background, flat contrast, slightly soft and turned."""
    tight = _rotate(rng.uniform(-5.0, 5.0))(_crop(0.06)(image, rng), rng)
    flat = _quantise(60.0 + tight.astype(np.float32) * 0.55)
    return _blur(0.003)(flat, rng)


STRESS: Mapping[str, Transform] = MappingProxyType(
    {
        "exposure_up": _gain(1.35),
        "exposure_down": _gain(0.6),
        "gamma_up": _gamma(1.6),
        "gamma_down": _gamma(0.6),
        "contrast_up": _contrast(1.5),
        "contrast_down": _contrast(0.5),
        "crop": _crop(0.08),
        "rotate_left": _rotate(8.0),
        "rotate_right": _rotate(-8.0),
        "jpeg": _jpeg(30),
        "blur": _blur(0.006),
        "noise": _noise(8.0),
        "portable": _portable,
    }
)


def apply_stress(name: str, image: Picture, seed: int) -> Picture:
    """The image [H, W] or [H, W, 3] under the named transform; the seed fixes what is random."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError("stress transforms take a uint8 image [H, W] or [H, W, 3]")
    return STRESS[name](image, np.random.default_rng(seed))
