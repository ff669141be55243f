"""Colour constancy for dermoscopy: two lamps, or two cameras, make one picture.

Shades of grey (Finlayson and Trezzi 2004): the light's colour is the Minkowski mean of the pixels,
here with p = 6, and each channel is divided by it: a weaker or yellower lamp changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]

_MINKOWSKI = 6.0
# Mean and spread of dermoscopic pictures after the division, about.
_WHITE = 0.8
MEAN, SPREAD = np.float32(0.6), np.float32(0.2)


def standardise(image: FloatImage) -> FloatImage:
    """Colours [S, S, 3] in 0..1 -> [3, S, S], about zero mean and unit variance."""
    balanced = constant_colour(image)
    out = (balanced - MEAN) / SPREAD
    return np.ascontiguousarray(out.transpose(2, 0, 1), dtype=np.float32)


def constant_colour(image: FloatImage) -> FloatImage:
    """The picture [H, W, 3] as under one white light; the brightest parts exceed 1."""
    powers = np.maximum(image, 1e-3).reshape(-1, 3).astype(np.float64) ** _MINKOWSKI
    light = powers.mean(axis=0) ** (1.0 / _MINKOWSKI)
    gain = _WHITE / light
    return np.asarray(image * gain.astype(np.float32), dtype=np.float32)
