"""The map of where the model looked, alone: what a viewer lays over the film."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from models.imaging.heatmap import layer_png, overlay_png
from models.imaging.preprocess import SeenBox

INNER = SeenBox(0.1, 0.9, 0.1, 0.9)


def spot() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    saliency = np.full((8, 8), -3.0, np.float32)
    saliency[1, 6] = 10.0
    return saliency


def pixels(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(Image.open(io.BytesIO(png)), dtype=np.float64)


def test_the_layer_is_transparent_where_the_map_says_nothing() -> None:
    layer = pixels(layer_png((160, 200), spot()))
    assert layer.shape == (200, 160, 4)
    row, column = np.unravel_index(layer[..., 3].argmax(), (200, 160))
    assert row < 70
    assert column > 100
    assert layer[150:, :60, 3].max() == 0


def test_the_layer_laid_over_the_film_is_the_overlay() -> None:
    film = np.linspace(0, 1, 200 * 160, dtype=np.float32).reshape(200, 160)
    layer = pixels(layer_png((160, 200), spot(), box=INNER))
    alpha = layer[..., 3:] / 255.0 * 0.6
    laid = np.rint(film[..., None] * 255.0) * (1 - alpha) + layer[..., :3] * alpha
    assert np.abs(laid - pixels(overlay_png(film, spot(), box=INNER))).max() <= 2


@pytest.mark.parametrize(
    ("size", "drawn"), [((3000, 1500), (512, 256)), ((1, 900), (1, 512)), ((50, 50), (50, 50))]
)
def test_the_layer_keeps_the_films_shape_and_is_small(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    assert Image.open(io.BytesIO(layer_png(size, spot()))).size == drawn
