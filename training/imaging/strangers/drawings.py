"""Line drawings: doodles, figures, plots, faces, flow charts, floor plans, maps, shapes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from training.imaging.strangers.canvas import (
    Colour,
    Draw,
    Pixels,
    blend,
    colour,
    fractal,
    grid,
    ink_and_paper,
    lit,
    ramp,
    shape,
)


def _board(
    rng: np.random.Generator, dark: float = 0.2
) -> tuple[Image.Image, ImageDraw.ImageDraw, Colour]:
    height, width = shape(rng, 200, 420)
    ink, paper = ink_and_paper(rng, dark)
    image = Image.new("RGB", (width, height), paper)
    return image, ImageDraw.Draw(image), ink


def _curve(
    rng: np.random.Generator, width: int, height: int, points: int
) -> list[tuple[float, float]]:
    """A smooth closed or open line through random places, in pixels."""
    ts = np.linspace(0, 1, 60)
    knots = rng.uniform(0, 1, (points, 2)) * [width, height]
    x = np.interp(ts, np.linspace(0, 1, points), knots[:, 0])
    y = np.interp(ts, np.linspace(0, 1, points), knots[:, 1])
    kernel = np.hanning(9) / np.hanning(9).sum()
    x = np.convolve(np.pad(x, 4, "edge"), kernel, "valid")
    y = np.convolve(np.pad(y, 4, "edge"), kernel, "valid")
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def doodle(rng: np.random.Generator) -> Pixels:
    """Loose pen strokes."""
    image, draw, ink = _board(rng)
    for _ in range(int(rng.integers(2, 25))):
        tone = ink if rng.random() < 0.7 else colour(rng)
        points = _curve(rng, image.width, image.height, int(rng.integers(2, 12)))
        draw.line(points, fill=tone, width=int(rng.integers(1, 6)))
    return np.asarray(image)


def shapes(rng: np.random.Generator) -> Pixels:
    """Overlapping discs, boxes and polygons, filled or not."""
    image, draw, ink = _board(rng, 0.5)
    for _ in range(int(rng.integers(1, 30))):
        x, y = rng.uniform(0, 1, 2) * [image.width, image.height]
        r = rng.uniform(0.03, 0.4) * min(image.size)
        fill = colour(rng) if rng.random() < 0.75 else None
        kind = int(rng.integers(3))
        if kind == 0:
            draw.ellipse([x - r, y - r, x + r, y + r], fill=fill, outline=ink)
        elif kind == 1:
            draw.rectangle([x - r, y - r * 0.6, x + r, y + r * 0.6], fill=fill, outline=ink)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            corners = [(x + r * np.cos(a), y + r * np.sin(a)) for a in angles]
            draw.polygon(corners, fill=fill, outline=ink)
    return np.asarray(image)


def stick_figures(rng: np.random.Generator) -> Pixels:
    """People and houses as a child draws them."""
    image, draw, ink = _board(rng)
    wide = int(rng.integers(1, 6))
    for _ in range(int(rng.integers(1, 6))):
        s = rng.uniform(0.1, 0.35) * image.height
        x, y = rng.uniform(0.1, 0.9) * image.width, rng.uniform(0.1, 0.6) * image.height
        tone = ink if rng.random() < 0.6 else colour(rng)
        if rng.random() < 0.3:
            draw.rectangle([x, y, x + s, y + s], outline=tone, width=wide)
            draw.line([(x, y), (x + s / 2, y - s / 2), (x + s, y)], fill=tone, width=wide)
            continue
        draw.ellipse([x - s * 0.2, y, x + s * 0.2, y + s * 0.4], outline=tone, width=wide)
        hip = (x, y + s)
        draw.line([(x, y + s * 0.4), hip], fill=tone, width=wide)
        for side in (-1, 1):
            arm = (x + side * s * 0.35, y + s * rng.uniform(0.3, 0.9))
            draw.line([(x, y + s * 0.55), arm], fill=tone, width=wide)
            draw.line([hip, (x + side * s * 0.3, y + s * 1.5)], fill=tone, width=wide)
    return np.asarray(image)


def flow_chart(rng: np.random.Generator) -> Pixels:
    """Boxes joined by arrows."""
    image, draw, ink = _board(rng)
    places = rng.uniform(0.08, 0.85, (int(rng.integers(3, 10)), 2)) * [image.width, image.height]
    for (x, y), (u, v) in pairwise(places):
        draw.line([(x, y), (u, y), (u, v)], fill=ink, width=int(rng.integers(1, 4)))
    for x, y in places:
        w, h = rng.uniform(0.06, 0.14) * image.width, rng.uniform(0.04, 0.09) * image.height
        box = [x - w, y - h, x + w, y + h]
        tone = colour(rng)
        if rng.random() < 0.6:
            draw.rounded_rectangle(box, 4, fill=tone, outline=ink)
        else:
            draw.polygon([(x - w, y), (x, y - h), (x + w, y), (x, y + h)], fill=tone, outline=ink)
        draw.line([x - w * 0.6, y, x + w * 0.6, y], fill=ink, width=2)
    return np.asarray(image)


def map_of_streets(rng: np.random.Generator) -> Pixels:
    """Roads, water and parks."""
    image, draw, _ = _board(rng, 0.15)
    for tone in ((170, 211, 223), (200, 230, 190)):
        for _ in range(int(rng.integers(0, 4))):
            draw.polygon(_curve(rng, image.width, image.height, 7), fill=tone)
    for _ in range(int(rng.integers(6, 30))):
        points = _curve(rng, image.width, image.height, int(rng.integers(2, 5)))
        wide = int(rng.integers(2, 9))
        draw.line(points, fill=(150, 150, 150), width=wide + 2)
        draw.line(points, fill=colour(rng, 200, 255), width=wide)
    return np.asarray(image)


def contour(rng: np.random.Generator) -> Pixels:
    """Outlines of a body part or an organ as in an atlas: closed curves with pointer lines."""
    image, draw, ink = _board(rng, 0.1)
    cx, cy = image.width / 2, image.height / 2
    angles = np.linspace(0, 2 * np.pi, 120)
    for layer in range(int(rng.integers(1, 5))):
        radius = (0.45 - 0.09 * layer) * (
            1
            + sum(rng.normal(0, 0.12) * np.cos(k * angles + rng.uniform(0, 6)) for k in range(1, 6))
        )
        x, y = (
            cx + image.width * radius * np.cos(angles),
            cy + image.height * radius * np.sin(angles),
        )
        fill = colour(rng, 120, 255) if rng.random() < 0.5 else None
        corners = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        draw.polygon(corners, fill=fill, outline=ink, width=int(rng.integers(1, 4)))
    for _ in range(int(rng.integers(0, 8))):
        start = (cx + rng.normal(0, 0.15) * image.width, cy + rng.normal(0, 0.15) * image.height)
        end = (rng.choice([8, image.width - 8]), rng.uniform(0, image.height))
        draw.line([start, end], fill=ink)
    return np.asarray(image)


def ball(rng: np.random.Generator) -> Pixels:
    """A lit, marbled ball on a plain ground: a fruit, a planet, a lamp, an eye from outside."""
    height, width = shape(rng, 200, 420)
    y, x = grid(height, width)
    scale = np.array([height, width]) / min(height, width)
    y, x = y * scale[0], x * scale[1]
    r = np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.3)) / rng.uniform(0.4, 1.0)
    marble = ramp(fractal(rng, height, width, rng.uniform(30, 160)), [colour(rng) for _ in "123"])
    if rng.random() < 0.5:
        warm = [(120, 30, 5), (210, 90, 20), (250, 170, 60)]
        marble = ramp(fractal(rng, height, width, rng.uniform(30, 160)), warm)
    light = np.clip(1.15 - 0.7 * np.hypot(x + 0.3, y + 0.3) * rng.uniform(0.2, 1), 0.15, 1.2)
    if rng.random() < 0.3:
        pupil = np.hypot(x, y) < rng.uniform(0.1, 0.3)
        marble = np.where(pupil[..., None], 10, marble).astype(np.uint8)
    ground = (0, 0, 0) if rng.random() < 0.6 else colour(rng)
    flat = np.full((height, width, 3), ground, np.uint8)
    return blend(flat, lit(marble, light), np.clip((1 - r) * 40, 0, 1))


def plot(rng: np.random.Generator) -> Pixels:
    """Axes with lines, bars, points or a heat map."""
    image, draw, ink = _board(rng, 0.25)
    left, top = image.width * rng.uniform(0.06, 0.15), image.height * rng.uniform(0.04, 0.15)
    right, bottom = image.width * 0.95, image.height * rng.uniform(0.82, 0.92)
    count = int(rng.integers(3, 60))
    xs = np.linspace(left, right, count)
    kind = int(rng.integers(4))
    for _ in range(int(rng.integers(1, 5))):
        tone = colour(rng, 20, 220)
        values = np.clip(np.cumsum(rng.normal(0, 1, count)) / count**0.5 * 0.4 + 0.5, 0, 1)
        ys = bottom - values * (bottom - top)
        if kind == 0:
            draw.line(list(zip(xs, ys, strict=True)), fill=tone, width=int(rng.integers(1, 4)))
        elif kind == 1:
            wide = (right - left) / count * 0.4
            for x, y in zip(xs, ys, strict=True):
                draw.rectangle([x - wide, y, x + wide, bottom], fill=tone)
        elif kind == 2:
            for x, y in zip(rng.uniform(left, right, count), ys, strict=True):
                draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=tone)
        else:
            cells = int(rng.integers(4, 12))
            w, h = (right - left) / cells, (bottom - top) / cells
            for i in range(cells * cells):
                x, y = left + i % cells * w, top + i // cells * h
                draw.rectangle([x, y, x + w, y + h], fill=colour(rng))
    draw.line([(left, top), (left, bottom), (right, bottom)], fill=ink, width=2)
    for at in np.linspace(left, right, 6):
        draw.line([at, bottom, at, bottom + 5], fill=ink)
    return np.asarray(image)


def face(rng: np.random.Generator) -> Pixels:
    """A drawn face, coloured or not."""
    image, draw, ink = _board(rng)
    r = 0.38 * min(image.size)
    cx, cy = image.width / 2, image.height / 2
    skin = colour(rng, 120, 255) if rng.random() < 0.7 else None
    draw.ellipse([cx - r * 0.8, cy - r, cx + r * 0.8, cy + r], fill=skin, outline=ink, width=3)
    for side in (-1, 1):
        x = cx + side * r * rng.uniform(0.25, 0.4)
        e = r * rng.uniform(0.06, 0.18)
        draw.ellipse([x - e, cy - e * 2, x + e, cy], fill=(255, 255, 255), outline=ink)
        draw.ellipse([x - e / 2, cy - e * 1.4, x + e / 2, cy - e * 0.4], fill=ink)
    mouth = [cx - r * 0.4, cy + r * 0.1, cx + r * 0.4, cy + r * 0.65]
    draw.arc(mouth, 10, 170, fill=ink, width=3)
    for _ in range(int(rng.integers(0, 50))):
        x = cx + rng.uniform(-0.8, 0.8) * r
        draw.line([x, cy - r * 1.1, x + rng.normal(0, 9), cy - r * rng.uniform(0.5, 0.9)], fill=ink)
    return np.asarray(image)


def floor_plan(rng: np.random.Generator) -> Pixels:
    """Rooms, doors and a few pieces of furniture."""
    image, draw, ink = _board(rng, 0.15)
    boxes = [(10.0, 10.0, image.width - 10.0, image.height - 10.0)]
    for _ in range(int(rng.integers(3, 8))):
        x0, y0, x1, y1 = boxes.pop(0)
        cut = rng.uniform(0.35, 0.65)
        if x1 - x0 > y1 - y0:
            middle = x0 + cut * (x1 - x0)
            boxes += [(x0, y0, middle, y1), (middle, y0, x1, y1)]
        else:
            middle = y0 + cut * (y1 - y0)
            boxes += [(x0, y0, x1, middle), (x0, middle, x1, y1)]
    for x0, y0, x1, y1 in boxes:
        draw.rectangle([x0, y0, x1, y1], outline=ink, width=int(rng.integers(2, 6)))
        draw.arc([x0 - 14, y0 - 14, x0 + 26, y0 + 26], 0, 90, fill=ink)
        if x1 - x0 > 50 and y1 - y0 > 40:
            draw.rectangle([x1 - 34, y1 - 24, x1 - 8, y1 - 8], outline=ink)
    return np.asarray(image)


ALL: tuple[Draw, ...] = (
    doodle,
    shapes,
    stick_figures,
    flow_chart,
    map_of_streets,
    contour,
    ball,
    plot,
    face,
    floor_plan,
)
