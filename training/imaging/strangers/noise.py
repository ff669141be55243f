"""Pictures of nothing: noise of many colours and scales, flat fields, test charts, codes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from training.imaging.strangers.canvas import (
    Pixels,
    blur,
    colour,
    fractal,
    grain,
    grey,
    grid,
    ramp,
    resize,
    shape,
    smooth,
    stretch,
)


def white(rng: np.random.Generator) -> Pixels:
    """Independent pixels: uniform or Gaussian, grey or coloured, of any mean and spread."""
    height, width = shape(rng)
    channels = 1 if rng.random() < 0.5 else 3
    if rng.random() < 0.5:
        values = rng.integers(0, 256, (height, width, channels)).astype(np.float32)
    else:
        values = rng.normal(
            rng.uniform(40, 215), rng.uniform(8, 90), (height, width, channels)
        ).astype(np.float32)
    return np.broadcast_to(np.clip(values, 0, 255), (height, width, 3)).astype(np.uint8)


def salt_and_pepper(rng: np.random.Generator) -> Pixels:
    """A flat or shaded field with extreme pixels."""
    height, width = shape(rng)
    base = ramp(smooth(rng, height, width, 200), [colour(rng), colour(rng)]).copy()
    hit = rng.random((height, width)) < rng.uniform(0.03, 0.6)
    base[hit] = (rng.random((int(hit.sum()), 1)) < 0.5) * 255
    return base


def blocky(rng: np.random.Generator) -> Pixels:
    """Noise of large cells, hard-edged or smooth."""
    height, width = shape(rng)
    cell = int(rng.integers(2, 40))
    channels = 1 if rng.random() < 0.5 else 3
    small = rng.integers(0, 256, (height // cell + 2, width // cell + 2, channels), dtype=np.uint8)
    small = np.broadcast_to(small, (*small.shape[:2], 3))
    how = Image.Resampling.NEAREST if rng.random() < 0.5 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(small)).resize((width, height), how))


def clouds(rng: np.random.Generator) -> Pixels:
    """Fractal noise, grey or between a few colours."""
    height, width = shape(rng)
    field = fractal(rng, height, width, rng.uniform(16, 250), int(rng.integers(1, 7)))
    if rng.random() < 0.4:
        return grey(stretch(field ** rng.uniform(0.5, 2)))
    return ramp(field, [colour(rng) for _ in range(int(rng.integers(2, 5)))])


def spectral(rng: np.random.Generator) -> Pixels:
    """Noise with a power spectrum of 1 / f^a, made in the frequency domain."""
    size = int(rng.integers(96, 320))
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    radius = np.hypot(rows, columns)
    radius[0, 0] = 1
    power = rng.uniform(0.4, 2.5)
    planes = []
    for _ in range(3):
        spectrum = np.fft.fft2(rng.normal(size=(size, size))) / radius**power
        planes.append(stretch(np.fft.ifft2(spectrum).real.astype(np.float32)))
    if rng.random() < 0.5:
        planes = [planes[0]] * 3
    return (np.stack(planes, axis=2) * 255).astype(np.uint8)


def garbled_jpeg(rng: np.random.Generator) -> Pixels:
    """A JPEG whose coded bytes were overwritten here and there; what a decoder makes of it."""
    height, width = shape(rng)
    stops = [colour(rng) for _ in range(3)]
    source = grain(rng, ramp(fractal(rng, height, width, 90), stops), 10)
    buffer = io.BytesIO()
    Image.fromarray(source).save(buffer, "JPEG", quality=int(rng.integers(10, 80)))
    coded = bytearray(buffer.getvalue())
    # Only behind the tables: a broken header would be no picture at all.
    start = coded.find(b"\xff\xda") + 16
    for _ in range(int(rng.integers(2, 30))):
        coded[int(rng.integers(start, len(coded) - 2))] = int(rng.integers(0, 255))
    try:
        with Image.open(io.BytesIO(bytes(coded))) as image:
            return np.asarray(image.convert("RGB"))
    except OSError:
        return blocky(rng)


def torn_rows(rng: np.random.Generator) -> Pixels:
    """Rows shifted and repeated, as of a broken transfer; television snow."""
    height, width = shape(rng)
    base = ramp(fractal(rng, height, width, 70), [colour(rng) for _ in range(3)]).copy()
    for _ in range(int(rng.integers(10, 60))):
        top = int(rng.integers(0, height - 2))
        depth = int(rng.integers(1, 18))
        base[top : top + depth] = np.roll(base[top : top + depth], int(rng.integers(width)), axis=1)
    return grain(rng, base, rng.uniform(0, 60))


def flat(rng: np.random.Generator) -> Pixels:
    """One colour, now and then with a trace of noise or a border."""
    height, width = shape(rng)
    tone = colour(rng)
    if rng.random() < 0.4:
        tone = (tone[0],) * 3
    picture = np.full((height, width, 3), tone, np.uint8)
    if rng.random() < 0.3:
        edge = int(rng.integers(3, 40))
        picture[:edge], picture[-edge:] = colour(rng), colour(rng)
    return grain(rng, picture, rng.uniform(0, 6)) if rng.random() < 0.6 else picture


def gradient(rng: np.random.Generator) -> Pixels:
    """Linear, round or angular gradients between two to four colours."""
    height, width = shape(rng)
    y, x = grid(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    fields = (
        x * np.cos(angle) + y * np.sin(angle),
        np.hypot(x - rng.uniform(-0.7, 0.7), y - rng.uniform(-0.7, 0.7)),
        np.arctan2(y - rng.uniform(-0.5, 0.5), x - rng.uniform(-0.5, 0.5)),
    )
    field = stretch(fields[int(rng.integers(3))].astype(np.float32))
    stops = [colour(rng) for _ in range(int(rng.integers(2, 5)))]
    if rng.random() < 0.35:
        stops = [(stop[0],) * 3 for stop in stops]
    return ramp(field, stops)


def stripes(rng: np.random.Generator) -> Pixels:
    """Checkers, stripes or rings of two colours, at any angle."""
    height, width = shape(rng)
    y, x = grid(height, width)
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.5)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bands = (
        np.floor(u / period) % 2,
        (np.floor(u / period) + np.floor(v / period)) % 2,
        np.floor(np.hypot(u, v) / period) % 2,
        0.5 + 0.5 * np.cos(2 * np.pi * u / period),
    )
    return ramp(bands[int(rng.integers(4))].astype(np.float32), [colour(rng), colour(rng)])


def test_chart(rng: np.random.Generator) -> Pixels:
    """Colour bars, grey steps, a zone plate or a cross-hatch with circles."""
    height, width = shape(rng)
    kind = int(rng.integers(3))
    if kind == 0:
        bars = [colour(rng) for _ in range(int(rng.integers(4, 12)))]
        picture = (
            resize(np.array([bars], np.uint8), height, width)
            if rng.random() < 0.2
            else (
                np.repeat(np.array(bars, np.uint8)[None], height, 0)[
                    :, (np.arange(width) * len(bars)) // width
                ]
            )
        )
        steps = np.linspace(0, 255, int(rng.integers(5, 16))).astype(np.uint8)
        low = int(height * rng.uniform(0.6, 0.9))
        picture = picture.copy()
        picture[low:] = steps[(np.arange(width) * len(steps)) // width][None, :, None]
        return picture
    if kind == 1:
        y, x = grid(height, width)
        return grey(0.5 + 0.5 * np.cos((x**2 + y**2) * rng.uniform(20, 160)).astype(np.float32))
    image = Image.new("RGB", (width, height), colour(rng))
    draw = ImageDraw.Draw(image)
    step, ink = int(rng.integers(12, 40)), colour(rng)
    for at in range(0, max(height, width), step):
        draw.line([(at, 0), (at, height)], fill=ink)
        draw.line([(0, at), (width, at)], fill=ink)
    for radius in (0.2, 0.35, 0.48):
        r = radius * min(height, width)
        draw.ellipse(
            [width / 2 - r, height / 2 - r, width / 2 + r, height / 2 + r], outline=ink, width=3
        )
    return np.asarray(image)


def barcode(rng: np.random.Generator) -> Pixels:
    """Bars of random widths on a label."""
    height, width = shape(rng)
    picture = np.full((height, width, 3), int(rng.integers(200, 256)), np.uint8)
    x, stop = int(width * rng.uniform(0.05, 0.2)), int(width * rng.uniform(0.8, 0.95))
    top, bottom = int(height * rng.uniform(0.05, 0.4)), int(height * rng.uniform(0.6, 0.95))
    while x < stop:
        bar = int(rng.integers(1, 7))
        picture[top:bottom, x : x + bar] = int(rng.integers(0, 50))
        x += bar + int(rng.integers(1, 7))
    return picture if rng.random() < 0.6 else blur(picture, rng.uniform(0.5, 2))


def matrix_code(rng: np.random.Generator) -> Pixels:
    """Squares like a QR code, with its three corner marks; it says nothing."""
    cells = int(rng.integers(21, 57))
    code = (rng.random((cells, cells)) < 0.5).astype(np.uint8) * 255
    for row, column in ((0, 0), (0, cells - 7), (cells - 7, 0)):
        code[row : row + 7, column : column + 7] = 0
        code[row + 1 : row + 6, column + 1 : column + 6] = 255
        code[row + 2 : row + 5, column + 2 : column + 5] = 0
    code = np.pad(code, int(rng.integers(1, 12)), constant_values=255)
    side = int(rng.integers(160, 400))
    image = Image.fromarray(code).resize((side, side), Image.Resampling.NEAREST)
    picture = np.asarray(image.convert("RGB"))
    if rng.random() < 0.4:
        light = colour(rng, 150, 255)
        picture = np.minimum(picture, np.array(light, np.uint8))
    return picture
