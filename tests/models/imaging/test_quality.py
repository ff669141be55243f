"""Pictures unfit to be read are told apart from usual radiographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.imaging.decode import DecodedImage
from models.imaging.quality import check_quality, layout_correlation


def chest(side: int = 200) -> np.ndarray:
    """A crude frontal chest: grey body, bright middle, dark lungs."""
    y, x = np.mgrid[0:side, 0:side] / side
    image = np.full((side, side), 0.55, np.float32)
    image[(np.abs(x - 0.5) < 0.08)] = 0.8
    for centre in (0.26, 0.74):
        image[((x - centre) / 0.14) ** 2 + ((y - 0.45) / 0.3) ** 2 < 1] = 0.25
    image[(x < 0.05) | (x > 0.95)] = 0.02
    return image + np.random.default_rng(0).normal(0, 0.01, image.shape).astype(np.float32)


def codes(pixels: np.ndarray, colour: float = 0.0) -> set[str]:
    clipped = np.clip(pixels, 0, 1).astype(np.float32)
    return {issue.code for issue in check_quality(DecodedImage(clipped, "png", colour=colour))}


def test_a_usual_radiograph_has_no_issue() -> None:
    assert codes(chest()) == set()


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (np.full((200, 200), 0.4, np.float32), "blank"),
        (1.0 - chest(), "inverted"),
        (chest().T, "not_frontal_chest"),
        (chest() * 2.5 + 0.5, "over_exposed"),
        (chest() - 0.7, "under_exposed"),
        (chest() * 0.15 + 0.4, "low_contrast"),
        (chest(90), "low_resolution"),
    ],
)
def test_each_fault_is_named(pixels: np.ndarray, code: str) -> None:
    assert code in codes(pixels)


def test_a_colour_photograph_is_named() -> None:
    assert "colour_photo" in codes(chest(), colour=0.2)


def test_low_contrast_warns_and_the_rest_forbids() -> None:
    issues = check_quality(DecodedImage((chest() * 0.15 + 0.4).astype(np.float32), "png"))
    assert [(issue.code, issue.fatal) for issue in issues] == [("low_contrast", False)]


@pytest.mark.data
def test_dev_radiographs_pass_and_their_negatives_do_not(data_dir: Path) -> None:
    from training.imaging.data import read_zip

    path = data_dir / "imaging" / "cxr_pneumonia.dev.zip"
    images = read_zip(path, ("normal", "pneumonia"), limit=200).images.astype(np.float32) / 255

    def share(code: str | None, pictures: np.ndarray) -> float:
        found = [codes(picture) for picture in pictures]
        return float(np.mean([bool(c) if code is None else code in c for c in found]))

    assert share(None, images) <= 0.01
    assert share("inverted", 1 - images) >= 0.98
    assert share("upside_down", images[:, ::-1]) >= 0.85
    assert share("not_frontal_chest", images.transpose(0, 2, 1)) >= 0.95
    assert np.median([layout_correlation(image) for image in images]) > 0.8
