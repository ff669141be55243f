"""Is this picture fit to be read? Checks on grey values alone, before any network sees it.

Thresholds come from the development radiographs (tests/models/imaging/test_quality.py measures
them again where the data is there). A fatal issue means: no score, ask for another picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.decode import DecodedImage
from models.imaging.preprocess import equalise

QualityCode = Literal[
    "blank",
    "low_contrast",
    "inverted",
    "over_exposed",
    "under_exposed",
    "colour_photo",
    "low_resolution",
]

MIN_SIDE = 128
MIN_SPREAD_BLANK = 0.03
MIN_SPREAD = 0.2
MAX_SATURATED = 0.35
MAX_DARK = 0.75
MAX_COLOUR = 0.04
MIN_MEDIASTINUM_EXCESS = -0.1


@dataclass(frozen=True, slots=True)
class QualityIssue:
    """What is wrong, the number measured, the limit it broke, and whether it forbids a score."""

    code: QualityCode
    value: float
    limit: float
    fatal: bool


def check_quality(image: DecodedImage, *, chest: bool = True) -> tuple[QualityIssue, ...]:
    """Every issue found, worst first. `chest` adds the check that needs a chest's anatomy."""
    pixels = image.pixels
    found: list[QualityIssue] = []
    spread = float(np.subtract(*np.percentile(pixels, [98, 2])))
    if spread < MIN_SPREAD_BLANK:
        return (QualityIssue("blank", spread, MIN_SPREAD_BLANK, fatal=True),)
    if image.colour > MAX_COLOUR:
        found.append(QualityIssue("colour_photo", image.colour, MAX_COLOUR, fatal=True))
    if min(pixels.shape) < MIN_SIDE:
        found.append(QualityIssue("low_resolution", min(pixels.shape), MIN_SIDE, fatal=True))
    saturated, dark = float(np.mean(pixels >= 0.99)), float(np.mean(pixels <= 0.01))
    if saturated > MAX_SATURATED:
        found.append(QualityIssue("over_exposed", saturated, MAX_SATURATED, fatal=True))
    if dark > MAX_DARK:
        found.append(QualityIssue("under_exposed", dark, MAX_DARK, fatal=True))
    if chest and (excess := mediastinum_excess(pixels)) < MIN_MEDIASTINUM_EXCESS:
        found.append(QualityIssue("inverted", excess, MIN_MEDIASTINUM_EXCESS, fatal=True))
    if spread < MIN_SPREAD:
        found.append(QualityIssue("low_contrast", spread, MIN_SPREAD, fatal=False))
    return tuple(found)


def mediastinum_excess(pixels: npt.NDArray[np.float32]) -> float:
    """Rank of the middle of a frontal chest less that of the two lung fields, in -1..1.

    Spine and heart are brighter than lungs: above zero on a film of usual polarity, below on one
    that is inverted.
    """
    side = 64
    small = Image.fromarray(np.ascontiguousarray(pixels), mode="F")
    ranks = equalise(np.asarray(small.resize((side, side), Image.Resampling.BOX)), 1.0)
    rows = slice(int(0.25 * side), int(0.65 * side))
    middle = ranks[rows, int(0.44 * side) : int(0.58 * side)]
    left = ranks[rows, int(0.18 * side) : int(0.34 * side)]
    right = ranks[rows, int(0.66 * side) : int(0.82 * side)]
    return float(middle.mean() - 0.5 * (left.mean() + right.mean()))
