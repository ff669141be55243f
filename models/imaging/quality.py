"""Is this picture fit to be read? Checks on grey values alone, before any network sees it.

Thresholds come from the development radiographs (tests/models/imaging/test_quality.py measures
them again where the data is there). A fatal issue means: no score, ask for another picture.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.decode import DecodedImage
from models.imaging.preprocess import equalise

LAYOUT_FILE = Path(__file__).parent / "chest_layout.json"

QualityCode = Literal[
    "blank",
    "low_contrast",
    "inverted",
    "upside_down",
    "not_frontal_chest",
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
MAX_INVERTED = -0.45
MIN_LAYOUT = 0.2
MIN_UPRIGHT = -0.1


@dataclass(frozen=True, slots=True)
class QualityIssue:
    """What is wrong, the number measured, the limit it broke, and whether it forbids a score."""

    code: QualityCode
    value: float
    limit: float
    fatal: bool


def check_quality(image: DecodedImage, *, chest: bool = True) -> tuple[QualityIssue, ...]:
    """Every issue found, worst first. `chest` adds the check that needs a chest's anatomy."""
    # A few hundred thousand pixels say as much about grey values as ten million.
    step = max(1, min(image.pixels.shape) // 512)
    pixels = image.pixels[::step, ::step]
    found: list[QualityIssue] = []
    spread = float(np.subtract(*np.percentile(pixels, [98, 2])))
    if spread < MIN_SPREAD_BLANK:
        return (QualityIssue("blank", spread, MIN_SPREAD_BLANK, fatal=True),)
    if image.colour > MAX_COLOUR:
        found.append(QualityIssue("colour_photo", image.colour, MAX_COLOUR, fatal=True))
    side = min(image.pixels.shape)
    if side < MIN_SIDE:
        found.append(QualityIssue("low_resolution", side, MIN_SIDE, fatal=True))
    saturated, dark = float(np.mean(pixels >= 0.99)), float(np.mean(pixels <= 0.01))
    if saturated > MAX_SATURATED:
        found.append(QualityIssue("over_exposed", saturated, MAX_SATURATED, fatal=True))
    if dark > MAX_DARK:
        found.append(QualityIssue("under_exposed", dark, MAX_DARK, fatal=True))
    if chest and (issue := _layout_issue(pixels)) is not None:
        found.append(issue)
    if spread < MIN_SPREAD:
        found.append(QualityIssue("low_contrast", spread, MIN_SPREAD, fatal=False))
    return tuple(found)


def _layout_issue(pixels: npt.NDArray[np.float32]) -> QualityIssue | None:
    """Polarity, then upside down, then no frontal chest at all."""
    upright, turned = layout_correlation(pixels), layout_correlation(pixels[::-1])
    if upright < MAX_INVERTED:
        return QualityIssue("inverted", upright, MAX_INVERTED, fatal=True)
    if upright - turned < MIN_UPRIGHT and turned >= MIN_LAYOUT:
        return QualityIssue("upside_down", upright - turned, MIN_UPRIGHT, fatal=True)
    if upright < MIN_LAYOUT:
        return QualityIssue("not_frontal_chest", upright, MIN_LAYOUT, fatal=True)
    return None


def layout_correlation(pixels: npt.NDArray[np.float32]) -> float:
    """Correlation in -1..1 of the coarse grey ranks with those of a mean frontal chest.

    Bright middle and belly, darker lungs, dark surround: high on a radiograph of usual polarity,
    low below zero on an inverted one, near zero on most other pictures.
    """
    side = 4 * len(_layout())
    small = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32), mode="F")
    ranks = equalise(np.asarray(small.resize((side, side), Image.Resampling.BOX)), 1.0)
    coarse = ranks.reshape(side // 4, 4, side // 4, 4).mean(axis=(1, 3)).ravel()
    coarse = coarse - coarse.mean()
    layout = _layout().ravel() - _layout().mean()
    scale = float(np.sqrt((coarse**2).sum() * (layout**2).sum()))
    return float((coarse * layout).sum()) / scale if scale > 1e-9 else 0.0


@lru_cache(maxsize=1)
def _layout() -> npt.NDArray[np.float64]:
    stored = json.loads(LAYOUT_FILE.read_text(encoding="utf-8"))
    return np.array(stored["rows"], dtype=np.float64)
