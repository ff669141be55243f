"""Pictures unfit to be read are told apart from usual radiographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from models.imaging.decode import DecodedImage
from models.imaging.quality import check_quality, layout_correlation
from tests.models.imaging.zips import pictures


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
    image = DecodedImage(clipped, "png", colour=colour)
    return {issue.code for issue in check_quality(image, "chest_xray")}


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
    image = DecodedImage((chest() * 0.15 + 0.4).astype(np.float32), "png")
    issues = check_quality(image, "chest_xray")
    assert [(issue.code, issue.fatal) for issue in issues] == [("low_contrast", False)]


@pytest.mark.data
def test_dev_radiographs_pass_and_their_negatives_do_not(data_dir: Path) -> None:
    found = pictures(data_dir / "imaging" / "cxr_pneumonia.dev.zip", 200)
    images = np.stack([image.pixels for image in found])

    def share(code: str | None, seen: np.ndarray) -> float:
        issues = [codes(picture) for picture in seen]
        return float(np.mean([bool(c) if code is None else code in c for c in issues]))

    assert share(None, images) <= 0.01
    assert share("inverted", 1 - images) >= 0.98
    assert share("upside_down", images[:, ::-1]) >= 0.85
    assert share("not_frontal_chest", images.transpose(0, 2, 1)) >= 0.95
    assert np.median([layout_correlation(image) for image in images]) > 0.8


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("cxr_pneumonia.dev.zip", "chest_xray"),
        ("skin_ham10000.dev.zip", "dermoscopy"),
        ("fundus_idrid.train.zip", "fundus"),
        ("ct_nodule.dev.zip", "ct_patch"),
    ],
)
def test_pictures_of_each_kind_pass_their_own_limits_and_not_when_spoilt(
    data_dir: Path, file: str, kind: str
) -> None:
    images = list(pictures(data_dir / "imaging" / file, 120))

    def refused(change: Callable[[np.ndarray], np.ndarray]) -> float:
        found = []
        for image in images:
            pixels = change(image.pixels.copy()).astype(np.float32)
            issues = check_quality(replace(image, pixels=pixels), kind)
            found.append(any(issue.fatal for issue in issues))
        return float(np.mean(found))

    def blur(pixels: np.ndarray) -> np.ndarray:
        grey = Image.fromarray((pixels * 255).astype(np.uint8))
        return np.asarray(grey.filter(ImageFilter.GaussianBlur(0.03 * pixels.shape[1]))) / 255

    assert refused(lambda p: p) <= 0.01
    assert refused(lambda p: p * 0 + 0.5) == 1.0
    assert refused(lambda p: np.clip(p * 6 + 0.6, 0, 1)) >= 0.95
    if kind != "ct_patch":  # a patch of soft tissue has no edges of its own
        assert refused(blur) >= 0.85


def test_a_colour_picture_is_asked_for_where_colour_matters() -> None:
    image = DecodedImage(np.clip(chest(400), 0, 1), "png")
    assert "no_colour" in {issue.code for issue in check_quality(image, "fundus")}
