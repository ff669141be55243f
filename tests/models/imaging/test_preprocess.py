"""Preprocessing does not care about exposure; stress transforms do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.imaging.heatmap import colourise, overlay_png
from models.imaging.preprocess import PreprocessSpec, equalise, preprocess
from models.imaging.stress import STRESS, apply_stress

SPEC = PreprocessSpec(size=64)


def scene(side: int = 150) -> np.ndarray:
    """A smooth picture with some texture, floats in 0.1..0.9."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.random((9, 9)).astype(np.float32), mode="F")
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return (0.1 + 0.8 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def test_output_is_square_and_about_standard() -> None:
    out = preprocess(scene()[:, :100], SPEC)
    assert out.shape == (1, 64, 64)
    assert out.dtype == np.float32
    assert abs(float(out.mean())) < 0.3
    assert 0.7 < float(out.std()) < 1.3


@pytest.mark.parametrize("curve", ["gamma", "gain", "offset"])
def test_exposure_without_saturation_changes_almost_nothing(curve: str) -> None:
    image = scene()
    changed = {"gamma": image**1.7, "gain": image * 0.4, "offset": image * 0.5 + 0.4}[curve]
    before, after = preprocess(image, SPEC), preprocess(changed.astype(np.float32), SPEC)
    assert float(np.abs(before - after).mean()) < 0.02


def test_eight_and_sixteen_bits_and_floats_agree() -> None:
    image = scene()
    deep = np.rint(image * 65535).astype(np.uint16)
    shallow = np.rint(image * 255).astype(np.uint8)
    reference = preprocess(image, SPEC)
    assert float(np.abs(preprocess(deep, SPEC) - reference).max()) < 0.02
    assert float(np.abs(preprocess(shallow, SPEC) - reference).mean()) < 0.05


def test_corners_where_markers_sit_are_blank() -> None:
    out = preprocess(scene(), SPEC)
    assert out[0, 0, 0] == out[0, -1, -1] == 0.0


def test_a_flat_image_gives_zeros_and_not_numbers_gone_wrong() -> None:
    assert float(np.abs(preprocess(np.full((50, 50), 0.3, np.float32), SPEC)).max()) == 0.0
    broken = scene()
    broken[3, 3] = np.nan
    assert np.isfinite(preprocess(broken, SPEC)).all()


def test_ranks_are_uniform_in_the_reference_square() -> None:
    ranks = equalise(scene(64), 1.0)
    np.testing.assert_allclose(np.quantile(ranks, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.01)


def test_a_colour_picture_is_read_by_its_luminance_and_four_channels_are_none() -> None:
    grey = scene()
    colours = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_allclose(preprocess(colours, SPEC), preprocess(grey, SPEC), atol=1e-3)
    with pytest.raises(ValueError, match="expected an image"):
        preprocess(np.zeros((5, 5, 4), np.float32), SPEC)


@pytest.mark.parametrize("name", sorted(STRESS))
def test_stress_keeps_shape_is_seeded_and_changes_the_image(name: str) -> None:
    image = np.rint(scene() * 255).astype(np.uint8)
    before = image.copy()
    once, again = apply_stress(name, image, seed=5), apply_stress(name, image, seed=5)
    assert once.shape == image.shape
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(image, before)
    assert np.any(once != image)


def test_heatmap_colours_the_place_that_spoke_and_leaves_the_rest() -> None:
    grey = np.full((200, 160), 0.5, np.float32)
    saliency = np.full((8, 8), -3.0, np.float32)
    saliency[1, 6] = 10.0
    png = overlay_png(grey, saliency)
    picture = np.asarray(Image.open(__import__("io").BytesIO(png))).astype(int)
    assert picture.shape == (200, 160, 3)
    spread = picture.max(axis=2) - picture.min(axis=2)
    row, column = np.unravel_index(spread.argmax(), spread.shape)
    assert row < 70
    assert column > 100
    assert spread[150:, :60].max() == 0


def test_heatmap_of_a_weak_map_is_faint_and_large_images_are_reduced() -> None:
    grey = np.full((50, 50), 0.5, np.float32)
    weak = overlay_png(grey, np.full((4, 4), 0.05, np.float32))
    strong = overlay_png(grey, np.full((4, 4), 8.0, np.float32))
    import io

    faint, bright = (np.asarray(Image.open(io.BytesIO(p))).astype(int) for p in (weak, strong))
    assert np.abs(faint - 128).max() < np.abs(bright - 128).max() / 3
    big = Image.open(io.BytesIO(overlay_png(np.zeros((3000, 1500), np.float32), np.ones((4, 4)))))
    assert max(big.size) == 1024


def test_the_ramp_gets_lighter_all_the_way() -> None:
    colours = colourise(np.linspace(0, 1, 50, dtype=np.float32))
    luminance = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert np.all(np.diff(luminance) > 0)
