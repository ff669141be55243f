"""What the colour preparations take away (light, surround) and what they keep (lesions)."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from models.imaging.colour import constant_colour
from models.imaging.heatmap import layer_png
from models.imaging.preprocess import PreprocessSpec, preprocess, seen_box
from models.imaging.retina import cut_disc, disc_touches


def eye(side: int = 400, *, lesion: bool = False, tint: float = 1.0) -> np.ndarray:
    """An orange disc on black, brighter to one side, with a small bright spot if asked for."""
    y, x = (np.mgrid[0:side, 0 : side * 3 // 2] - side / 2) / (side / 2)
    x = x - 0.5
    disc = x**2 + y**2 < 0.9
    shade = 0.5 + 0.15 * x
    rgb = np.stack([shade, shade * 0.55 * tint, shade * 0.2], axis=-1) * disc[..., None]
    if lesion:
        rgb[((x - 0.3) ** 2 + (y - 0.2) ** 2) < 0.0008] = [0.8, 0.7, 0.4]
    return np.clip(rgb * 255, 0, 255).astype(np.uint8)


RETINA = PreprocessSpec(mode="retina", size=256, margin=0.0)


def test_the_disc_is_cut_out_whatever_surrounds_it() -> None:
    whole = cut_disc(eye().astype(np.float32) / 255)
    assert whole.shape[0] == whole.shape[1]
    assert abs(whole.shape[0] - 380) < 20
    wider = np.pad(eye(), ((0, 0), (150, 0), (0, 0)))
    difference = preprocess(eye(), RETINA) - preprocess(wider, RETINA)
    assert float(np.abs(difference).mean()) < 0.05


def test_a_lesion_stands_out_and_the_slow_shading_does_not() -> None:
    plain, sick = preprocess(eye(), RETINA), preprocess(eye(lesion=True), RETINA)
    inner = plain[:, 60:196, 60:196]
    assert float(np.abs(inner).max()) < 1.0
    assert float((sick - plain)[1].max()) > 2.0


def test_a_disc_that_fills_the_picture_is_said_to_be_cut() -> None:
    assert disc_touches(eye()) == 0
    assert disc_touches(eye()[130:270, 230:370]) == 4


def test_another_lamp_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    skin = rng.uniform(0.3, 0.6, (64, 64, 3)).astype(np.float32)
    yellow = skin * np.array([0.9, 0.8, 0.5], dtype=np.float32)
    np.testing.assert_allclose(constant_colour(skin), constant_colour(yellow), atol=2e-3)
    np.testing.assert_allclose(constant_colour(skin), constant_colour(skin * 0.5), atol=2e-3)


@pytest.mark.parametrize(
    "spec", [RETINA, PreprocessSpec(mode="rgb", shape="centre", size=128, margin=0.0)]
)
def test_a_map_lies_over_the_part_that_was_seen(spec: PreprocessSpec) -> None:
    plain, sick = eye(lesion=True), eye()
    difference = np.abs(preprocess(plain, spec) - preprocess(sick, spec)).sum(axis=0)
    box = seen_box(plain, spec)
    layer = Image.open(io.BytesIO(layer_png((600, 400), difference, box=box, full_scale=1.0)))
    drawn = np.asarray(layer)[..., 3] > 128
    y, x = (float(np.mean(where)) for where in np.nonzero(drawn))
    height, width = drawn.shape
    true_y, true_x = np.nonzero((plain != sick).any(axis=2))
    assert abs(y / height - true_y.mean() / 400) < 0.02
    assert abs(x / width - true_x.mean() / 600) < 0.02
