"""Is this picture fit to be read? Checks on pixel values alone, before any network sees it.

What is normal differs by kind of picture: a fundus photograph has a black surround, a CT patch
may be half bone. The limits in quality_limits.yaml come from the training pictures
(tests/models/imaging/test_quality.py measures them again where the data is there). A fatal issue
means: no score, ask for another picture.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from pydantic import BaseModel, ConfigDict

from models.imaging.decode import DecodedImage
from models.imaging.preprocess import equalise
from models.imaging.retina import disc_touches

LAYOUT_FILE = Path(__file__).parent / "chest_layout.json"
LIMITS_FILE = Path(__file__).parent / "quality_limits.yaml"

QualityCode = Literal[
    "blank",
    "low_contrast",
    "inverted",
    "upside_down",
    "not_frontal_chest",
    "over_exposed",
    "under_exposed",
    "colour_photo",
    "no_colour",
    "blurred",
    "cropped",
    "low_resolution",
    "not_a_patch",
]

MIN_SPREAD_BLANK = 0.03
MAX_INVERTED = -0.45
MIN_LAYOUT = 0.2
MIN_UPRIGHT = -0.1


class QualityLimits(BaseModel):
    """Limits for one kind of picture; None where a check does not apply.

    min_side, max_side: pixels. min_spread: 98th less 2nd percentile of grey. max_saturated,
    max_dark: share of pixels at the ends of the scale. max_colour, min_colour: mean spread of the
    channels. sharpness_side: pixels of the short side at which sharpness is measured.
    max_edges_cut: sides of the picture at which the disc of a retina may be cut off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_side: int
    max_side: int | None = None
    min_spread: float
    max_saturated: float
    max_dark: float
    max_colour: float | None = None
    min_colour: float | None = None
    min_sharpness: float | None = None
    sharpness_side: int = 192
    max_edges_cut: int | None = None
    chest_layout: bool = False


@lru_cache(maxsize=1)
def quality_limits() -> dict[str, QualityLimits]:
    """By kind of picture; `any` stands for every other."""
    stored = yaml.safe_load(LIMITS_FILE.read_text(encoding="utf-8"))
    return {kind: QualityLimits.model_validate(limits) for kind, limits in stored.items()}


@dataclass(frozen=True, slots=True)
class QualityIssue:
    """What is wrong, the number measured, the limit it broke, and whether it forbids a score."""

    code: QualityCode
    value: float
    limit: float
    fatal: bool


def check_quality(image: DecodedImage, kind: str | None = None) -> tuple[QualityIssue, ...]:
    """Every issue found, worst first; `kind` as in quality_limits.yaml."""
    limits = quality_limits().get(kind or "any", quality_limits()["any"])
    # A few hundred thousand pixels say as much about grey values as ten million.
    step = max(1, min(image.pixels.shape) // 512)
    pixels = image.pixels[::step, ::step]
    spread = float(np.subtract(*np.percentile(pixels, [98, 2])))
    if spread < MIN_SPREAD_BLANK:
        return (QualityIssue("blank", spread, MIN_SPREAD_BLANK, fatal=True),)
    found = [*_colour_issues(image, limits), *_exposure_issues(image, pixels, limits)]
    if limits.chest_layout and (issue := _layout_issue(pixels)) is not None:
        found.append(issue)
    if limits.min_sharpness is not None:
        sharp = sharpness(image.pixels, limits.sharpness_side)
        if sharp < limits.min_sharpness:
            found.append(QualityIssue("blurred", sharp, limits.min_sharpness, fatal=True))
    if limits.max_edges_cut is not None and image.rgb is not None:
        cut = disc_touches(image.rgb)
        if cut > limits.max_edges_cut:
            found.append(QualityIssue("cropped", cut, limits.max_edges_cut, fatal=False))
    if spread < limits.min_spread:
        found.append(QualityIssue("low_contrast", spread, limits.min_spread, fatal=False))
    return tuple(found)


def _colour_issues(image: DecodedImage, limits: QualityLimits) -> list[QualityIssue]:
    if limits.max_colour is not None and image.colour > limits.max_colour:
        return [QualityIssue("colour_photo", image.colour, limits.max_colour, fatal=True)]
    if limits.min_colour is not None and image.colour < limits.min_colour:
        return [QualityIssue("no_colour", image.colour, limits.min_colour, fatal=True)]
    return []


def _exposure_issues(
    image: DecodedImage, pixels: npt.NDArray[np.float32], limits: QualityLimits
) -> list[QualityIssue]:
    found = []
    side = min(image.pixels.shape)
    if side < limits.min_side:
        found.append(QualityIssue("low_resolution", side, limits.min_side, fatal=True))
    longest = max(image.pixels.shape)
    if limits.max_side is not None and longest > limits.max_side:
        found.append(QualityIssue("not_a_patch", longest, limits.max_side, fatal=True))
    saturated, dark = float(np.mean(pixels >= 0.99)), float(np.mean(pixels <= 0.01))
    if saturated > limits.max_saturated:
        found.append(QualityIssue("over_exposed", saturated, limits.max_saturated, fatal=True))
    if dark > limits.max_dark:
        found.append(QualityIssue("under_exposed", dark, limits.max_dark, fatal=True))
    return found


def sharpness(pixels: npt.NDArray[np.float32], side: int) -> float:
    """95th percentile of the absolute Laplacian over the spread of grey, at a common scale.

    `side`: the short side in pixels that the picture is reduced to; smaller ones stay as they are.
    """
    factor = side / min(pixels.shape)
    small = pixels
    if factor < 1:
        size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
        picture = Image.fromarray(np.ascontiguousarray(pixels), mode="F")
        small = np.asarray(picture.resize(size, Image.Resampling.BOX))
    if min(small.shape) < 3:
        return 0.0
    around = small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:]
    laplacian = np.abs(4 * small[1:-1, 1:-1] - around)
    spread = max(float(np.subtract(*np.percentile(small, [98, 2]))), 1e-3)
    return float(np.percentile(laplacian, 95)) / spread


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
