"""What every drawn stranger is made with: seeded colours, smooth fields, warps, sizes.

All functions are pure: the same `rng` state gives the same picture. Pictures are uint8 [H, W, 3],
fields float32 [H, W].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float32]
Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]
Draw: TypeAlias = Callable[[np.random.Generator], Pixels]


def shape(rng: np.random.Generator, low: int = 160, high: int = 420) -> tuple[int, int]:
    """(height, width) between 3:4 and 16:9 either way up, the longer side within the bounds."""
    long = int(rng.integers(low, high + 1))
    short = max(low // 2, int(long / rng.uniform(1.0, 1.78)))
    return (long, short) if rng.random() < 0.4 else (short, long)


def colour(rng: np.random.Generator, low: int = 0, high: int = 255) -> Colour:
    """Any colour with each channel within [low, high]."""
    red, green, blue = (int(v) for v in rng.integers(low, high + 1, 3))
    return red, green, blue


def ink_and_paper(rng: np.random.Generator, dark: float = 0.35) -> tuple[Colour, Colour]:
    """Text and background colours that can be read; light on dark with probability `dark`."""
    ink, paper = colour(rng, 0, 80), colour(rng, 225, 255)
    if rng.random() < 0.6:
        ink, paper = (int(ink[0]),) * 3, (int(paper[0]),) * 3
    return (paper, ink) if rng.random() < dark else (ink, paper)


def smooth(rng: np.random.Generator, height: int, width: int, cell: float) -> Field:
    """Noise in [0, 1] whose features are about `cell` pixels wide (value noise, bicubic)."""
    rows, columns = max(2, round(height / cell) + 1), max(2, round(width / cell) + 1)
    grid = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
    field = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    return stretch(field)


def fractal(
    rng: np.random.Generator, height: int, width: int, cell: float = 128, octaves: int = 5
) -> Field:
    """Octaves of `smooth`, each half as wide and half as strong: clouds, marble, tissue."""
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        size = cell / 2**octave
        if size < 1.5:
            break
        total += smooth(rng, height, width, size) / 2**octave
    return stretch(total)


def stretch(field: Floats) -> Field:
    """The field moved and scaled to [0, 1]."""
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)


def grid(height: int, width: int) -> tuple[Field, Field]:
    """(y, x), each float32 [H, W] from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return y.astype(np.float32), x.astype(np.float32)


def blobs(rng: np.random.Generator, height: int, width: int, count: int, radius: float) -> Field:
    """`count` soft discs of about `radius` (in half-heights), summed and clipped to [0, 1]."""
    y, x = grid(height, width)
    total = np.zeros((height, width), dtype=np.float32)
    for _ in range(count):
        cy, cx = rng.uniform(-1, 1, 2)
        r = radius * rng.uniform(0.5, 1.5)
        total += np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / r**2) ** 2)).astype(np.float32)
    return np.clip(total, 0, 1).astype(np.float32)


def grey(field: Floats) -> Pixels:
    """A field of [0, 1] as a grey picture."""
    row = np.clip(field * 255, 0, 255).astype(np.uint8)
    return np.repeat(row[..., None], 3, axis=2)


def ramp(field: Floats, stops: list[Colour]) -> Pixels:
    """A field of [0, 1] coloured along `stops`, evenly spaced."""
    at = np.linspace(0, 1, len(stops))
    values = np.asarray(stops, dtype=np.float32)
    channels = [np.interp(field, at, values[:, c]) for c in range(3)]
    return np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)


def blur(pixels: Pixels, radius: float) -> Pixels:
    """Gaussian blur, `radius` in pixels."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)), np.uint8)


def soften(field: Floats, radius: float) -> Field:
    """Gaussian blur of a field in [0, 1], to 8 bits."""
    image = Image.fromarray(np.clip(field * 255, 0, 255).astype(np.uint8))
    softened = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)
    return (softened / 255).astype(np.float32)


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Squashed or stretched to [height, width]."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def blend(under: Pixels, over: Pixels, share: Floats) -> Pixels:
    """`over` where `share` is 1, `under` where it is 0."""
    mixed = under * (1 - share[..., None]) + over * share[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)


def lit(pixels: Pixels, light: Floats) -> Pixels:
    """Each pixel multiplied by `light` (1 keeps it)."""
    return np.clip(pixels * light[..., None], 0, 255).astype(np.uint8)


def grain(rng: np.random.Generator, pixels: Pixels, sigma: float) -> Pixels:
    """Gaussian noise of `sigma` grey levels, as a small sensor adds it."""
    noise = rng.normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def in_perspective(
    rng: np.random.Generator, picture: Pixels, scene: Pixels, tilt: float = 0.15
) -> Pixels:
    """`picture` seen as a sheet in `scene`, its corners moved by up to `tilt` of the sides.

    The sheet covers 45 to 95 % of each side of the scene.
    """
    height, width = scene.shape[:2]
    margin_y, margin_x = rng.uniform(0.02, 0.27) * height, rng.uniform(0.02, 0.27) * width
    corners = np.array(
        [
            [margin_x, margin_y],
            [width - margin_x, margin_y],
            [width - margin_x, height - margin_y],
            [margin_x, height - margin_y],
        ]
    )
    corners += rng.uniform(-tilt, tilt, (4, 2)) * [width, height] * 0.5
    coefficients = _homography(corners, picture.shape[1], picture.shape[0])
    size = (width, height)
    source = Image.fromarray(picture).convert("RGBA")
    sheet = source.transform(
        size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    out = Image.fromarray(scene)
    out.paste(sheet, mask=sheet.getchannel("A"))
    return np.asarray(out)


def _homography(corners: npt.NDArray[np.float64], width: int, height: int) -> list[float]:
    """Pillow's eight coefficients: from places in the scene to places in the picture."""
    rows: list[list[float]] = []
    values: list[float] = []
    for (x, y), (u, v) in zip(
        corners, [(0, 0), (width, 0), (width, height), (0, height)], strict=True
    ):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [float(u), float(v)]
    return [float(c) for c in np.linalg.solve(np.array(rows), np.array(values))]
