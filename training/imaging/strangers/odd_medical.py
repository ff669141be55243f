"""Medical pictures of kinds that no model here reads, drawn procedurally.

They look roughly like what they are called, enough that a gate does not learn "medical, so ours".
They show no anatomy that anything could be learned from.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from training.imaging.strangers.canvas import (
    Colour,
    Draw,
    Field,
    Pixels,
    blend,
    blobs,
    blur,
    colour,
    fractal,
    grain,
    grey,
    grid,
    lit,
    ramp,
    shape,
    smooth,
    soften,
    stretch,
)


def ultrasound(rng: np.random.Generator) -> Pixels:
    """A speckled sector or a linear strip on black, dark cysts, a scale at the edge."""
    height, width = shape(rng, 200, 420)
    y, x = grid(height, width)
    tissue = fractal(rng, height, width, rng.uniform(40, 120))
    tissue *= 1 - blobs(rng, height, width, int(rng.integers(0, 5)), rng.uniform(0.1, 0.35))
    speckle = rng.rayleigh(0.5, (height, width)).astype(np.float32)
    field = soften(np.clip(tissue * speckle, 0, 1), rng.uniform(0.6, 1.6))
    if rng.random() < 0.65:
        depth, angle = np.hypot(x, y + 1.1), np.abs(np.arctan2(x, y + 1.1))
        inside = (depth > rng.uniform(0.1, 0.5)) & (depth < 1.95) & (angle < rng.uniform(0.5, 0.9))
    else:
        inside = (np.abs(x) < rng.uniform(0.6, 0.98)) & (np.abs(y) < 0.92)
    picture = grey(stretch(field) ** 0.8 * inside * rng.uniform(0.7, 1.0))
    if rng.random() < 0.5:
        picture[:: max(8, height // 12), -6:-2] = 200
    if rng.random() < 0.2:
        doppler = ramp(smooth(rng, height, width, 20), [(0, 40, 220), (10, 10, 10), (230, 40, 0)])
        mask = blobs(rng, height, width, 2, 0.15) * inside
        picture = blend(picture, doppler, (mask > 0.5).astype(np.float32))
    return picture


def ecg(rng: np.random.Generator) -> Pixels:
    """One or several traces on pink or white squared paper, or green on black."""
    height, width = shape(rng, 220, 480)
    monitor = rng.random() < 0.25
    paper: Colour = (0, 0, 0) if monitor else colour(rng, 235, 255)
    ink: Colour = colour(rng, 80, 255) if monitor else colour(rng, 0, 60)
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    step = int(rng.integers(6, 12))
    rule = (
        (30, 60, 30) if monitor else (245, int(rng.integers(150, 215)), int(rng.integers(150, 215)))
    )
    for at in range(0, max(height, width), step):
        wide = 2 if (at // step) % 5 == 0 else 1
        draw.line([at, 0, at, height], fill=rule, width=wide)
        draw.line([0, at, width, at], fill=rule, width=wide)
    leads = int(rng.integers(1, 7))
    t = np.arange(width)
    for lead in range(leads):
        period = rng.uniform(30, 110)
        phase = (t % period) / period
        signs = rng.choice([1, 1, 1, -1], 3)
        beat = (
            signs[0] * 0.15 * np.exp(-(((phase - 0.2) / 0.04) ** 2))
            + signs[1] * 1.0 * np.exp(-(((phase - 0.4) / 0.015) ** 2))
            - 0.25 * np.exp(-(((phase - 0.43) / 0.015) ** 2))
            + signs[2] * 0.3 * np.exp(-(((phase - 0.65) / 0.06) ** 2))
        )
        middle = height * (lead + 0.5) / leads
        ys = middle - beat * height / leads * 0.6 + rng.normal(0, 0.5, width)
        draw.line([(int(a), float(b)) for a, b in zip(t, ys, strict=True)], fill=ink, width=2)
    return np.asarray(image)


def hand(rng: np.random.Generator) -> Pixels:
    """Bright bars with joints inside softer flesh, on black: a limb on film."""
    height, width = shape(rng, 220, 420)
    flesh, bone = Image.new("L", (width, height), 0), Image.new("L", (width, height), 0)
    soft, hard = ImageDraw.Draw(flesh), ImageDraw.Draw(bone)
    rays = int(rng.choice([1, 2, 5, 5, 5]))
    base = np.array([width / 2, height * rng.uniform(0.75, 1.05)])
    wide = min(height, width) * rng.uniform(0.05, 0.1) * (1 if rays > 2 else 2)
    for ray in range(rays):
        angle = np.pi / 2 + (ray - (rays - 1) / 2) * rng.uniform(0.15, 0.35)
        length = height * rng.uniform(0.6, 0.85)
        direction = np.array([np.cos(angle), -np.sin(angle)])
        stops = np.cumsum([0.0, *rng.uniform(0.2, 0.4, int(rng.integers(2, 5)))]) * length
        for start, end in pairwise(stops):
            a, b = base + direction * (start + wide * 0.3), base + direction * (end - wide * 0.3)
            soft.line([*a, *b], fill=200, width=int(wide * 2.2))
            hard.line([*a, *b], fill=230, width=int(wide * 0.7))
            for place in (a, b):
                r = wide * rng.uniform(0.45, 0.65)
                hard.ellipse([*(place - r), *(place + r)], fill=255)
    tissue = soften(np.asarray(flesh, np.float32) / 255, wide * 0.5) * 0.35
    bones = soften(np.asarray(bone, np.float32) / 255, 1.5) * 0.55
    texture = 0.85 + 0.3 * smooth(rng, height, width, 8)
    field = np.clip((tissue + bones) * texture + rng.uniform(0.01, 0.1), 0, 1)
    return grain(rng, grey(field.astype(np.float32)), rng.uniform(1, 8))


def body_slice(rng: np.random.Generator) -> Pixels:
    """A whole axial slice on black: an ellipse of soft tissue, a bright spine, dark organs."""
    height, width = shape(rng, 220, 420)
    y, x = grid(height, width)
    wobble = 0.06 * (smooth(rng, height, width, 120) - 0.5)
    r = np.hypot(x / rng.uniform(0.75, 0.92), y / rng.uniform(0.55, 0.85)) + wobble
    body = (r < 1).astype(np.float32)
    field = 0.25 * body + 0.3 * body * (r < 0.93) * fractal(rng, height, width, 60)
    for _ in range(int(rng.integers(2, 9))):
        cy, cx = rng.uniform(-0.4, 0.4), rng.uniform(-0.55, 0.55)
        organ = np.hypot((x - cx) / rng.uniform(0.08, 0.32), (y - cy) / rng.uniform(0.08, 0.3))
        field = np.where((organ + wobble * 4 < 1) & (r < 0.9), rng.uniform(0, 0.75), field)
    spine = np.hypot(x / 0.11, (y - rng.uniform(0.35, 0.55)) / 0.13)
    field = np.where(spine < 1, rng.uniform(0.8, 1), field)
    picture = grey(soften(field.astype(np.float32), rng.uniform(0.5, 1.5)))
    return grain(rng, picture, rng.uniform(1, 10))


def trunk_film(rng: np.random.Generator) -> Pixels:
    """A spine with a pelvis, a skull or a long bone in soft grey: films of other parts."""
    height, width = shape(rng, 220, 420)
    y, x = grid(height, width)
    field = 0.3 + 0.25 * fractal(rng, height, width, 120)
    spine = np.abs(x - 0.03 * np.sin(3 * y)) < rng.uniform(0.08, 0.16)
    discs = np.sin(y * rng.uniform(12, 26)) > 0
    kind = int(rng.integers(3))
    if kind == 0:
        field = np.where(spine, 0.7 + 0.15 * discs, field)
        for side in (-1, 1):
            wing = np.hypot((x - side * 0.45) / 0.38, (y - rng.uniform(0.35, 0.6)) / 0.42)
            field = np.where((wing < 1) & (wing > rng.uniform(0.4, 0.8)), 0.75, field)
    elif kind == 1:
        vault = np.hypot(x / rng.uniform(0.6, 0.8), (y + 0.1) / rng.uniform(0.7, 0.85))
        field = np.where(vault < 1, 0.45 + 0.2 * field, 0.05)
        field = np.where((vault > 0.93) & (vault < 1), 0.9, field)
        for side in (-1, 1):
            socket = np.hypot((x - side * 0.25) / 0.16, (y - 0.25) / 0.13)
            field = np.where(socket < 1, 0.3, field)
    else:
        shaft = np.abs(x - 0.05 * y) < rng.uniform(0.12, 0.25) * (1 + 0.6 * np.abs(y) ** 3)
        joint = np.abs(y - rng.uniform(-0.2, 0.2)) < 0.03
        field = np.where(np.abs(x) < rng.uniform(0.4, 0.7), field, 0.04)
        field = np.where(shaft & ~joint, 0.75 + 0.15 * np.abs(x) / 0.25, field)
    return grain(rng, grey(soften(np.clip(field, 0, 1), rng.uniform(1, 3))), rng.uniform(1, 8))


def mammogram(rng: np.random.Generator) -> Pixels:
    """A bright half disc at one edge with branching texture."""
    height, width = shape(rng, 220, 420)
    y, x = grid(height, width)
    side = x + 1 if rng.random() < 0.5 else 1 - x
    r = np.hypot(side / rng.uniform(1.0, 1.6), (y + rng.uniform(-0.1, 0.2)) / rng.uniform(0.7, 1))
    inside = np.clip((1 - r) * 6, 0, 1)
    texture = fractal(rng, height, width, rng.uniform(30, 90)) ** rng.uniform(1, 2.5)
    field = inside * (0.25 + 0.7 * texture)
    return grain(rng, grey(field.astype(np.float32)), rng.uniform(0, 5))


def uptake_map(rng: np.random.Generator) -> Pixels:
    """Hot spots in a body outline, in a colour scale or inverted grey: nuclear medicine."""
    height, width = shape(rng, 200, 420)
    y, x = grid(height, width)
    outline = np.clip(1.2 - np.hypot(x / 0.5, y / 0.95), 0, 1) * 0.3
    field = outline + blobs(rng, height, width, int(rng.integers(1, 9)), rng.uniform(0.08, 0.25))
    field = soften(stretch(field.astype(np.float32)), rng.uniform(2, 7))
    if rng.random() < 0.4:
        return grain(rng, grey(1 - field), 6)
    hot: list[list[Colour]] = [
        [(0, 0, 0), (150, 0, 0), (255, 170, 0), (255, 255, 255)],
        [(0, 0, 60), (0, 160, 255), (0, 255, 60), (255, 255, 0), (255, 0, 0)],
    ]
    return grain(rng, ramp(field, hot[int(rng.integers(2))]), 4)


def teeth(rng: np.random.Generator) -> Pixels:
    """Two curved rows of bright pegs: a panoramic dental film."""
    height, width = 200, int(rng.integers(300, 460))
    y, x = grid(height, width)
    bend = y - rng.uniform(0.1, 0.35) * (0.5 - x**2)
    pegs = 0.5 + 0.5 * np.cos(x * rng.uniform(22, 34) + 0.6 * smooth(rng, height, width, 60))
    rows = np.exp(-(((np.abs(bend) - 0.22) / 0.16) ** 2))
    jaw = np.exp(-(((np.abs(bend) - 0.5) / 0.3) ** 2)) * 0.5
    field = rows * pegs * 0.8 + jaw * (0.6 + 0.4 * fractal(rng, height, width, 40)) + 0.08
    return grain(rng, grey(soften(np.clip(field, 0, 1).astype(np.float32), 1.2)), rng.uniform(2, 9))


def cells(rng: np.random.Generator) -> Pixels:
    """Round cells on a pale ground: a smear or a culture under the microscope."""
    height, width = shape(rng, 200, 420)
    ground, body, core = colour(rng, 190, 250), colour(rng, 120, 230), colour(rng, 30, 140)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    radius = rng.uniform(0.02, 0.1) * min(height, width)
    for _ in range(int(rng.integers(10, 140))):
        x, y = rng.uniform(0, 1, 2) * [width, height]
        r = radius * rng.uniform(0.7, 1.3)
        draw.ellipse([x - r, y - r * 0.9, x + r, y + r * 0.9], fill=body, outline=core)
        if rng.random() < 0.5:
            draw.ellipse([x - r * 0.4, y - r * 0.4, x + r * 0.4, y + r * 0.4], fill=core)
    picture = grain(rng, blur(np.asarray(image), rng.uniform(0.6, 2)), rng.uniform(1, 6))
    return grey(picture.mean(axis=2).astype(np.float32) / 255) if rng.random() < 0.25 else picture


def histology(rng: np.random.Generator) -> Pixels:
    """Pink tissue, white gaps and purple nuclei."""
    height, width = shape(rng, 200, 420)
    stops: list[Colour] = [(250, 245, 250), (236, 176, 208), (205, 120, 175), (160, 80, 150)]
    tissue = ramp(fractal(rng, height, width, rng.uniform(30, 120)), stops)
    nuclei = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(60, 500))):
        cy, cx, r = rng.integers(0, height), rng.integers(0, width), int(rng.integers(2, 6))
        nuclei[max(0, cy - r) : cy + r, max(0, cx - r) : cx + r] = 1
    share = soften(nuclei, 1.2)
    purple = np.full_like(tissue, (85, 45, 130))
    return grain(rng, blend(tissue, purple, share), rng.uniform(1, 8))


def oct_layers(rng: np.random.Generator) -> Pixels:
    """Wavy bright and dark layers on speckled black."""
    height, width = shape(rng, 200, 420)
    y, x = grid(height, width)
    wave = y - 0.15 * np.cos(x * rng.uniform(1, 4) + rng.uniform(0, 6)) + rng.uniform(-0.3, 0.3)
    pit = rng.uniform(0, 0.4) * np.exp(-((x / 0.25) ** 2))
    field = np.zeros((height, width), np.float32)
    top = -0.3
    for _ in range(int(rng.integers(4, 9))):
        deep = rng.uniform(0.05, 0.18)
        inside = (wave > top + pit * np.clip(-top * 3, 0, 1)) & (wave < top + deep)
        field += inside * rng.uniform(0.2, 1)
        top += deep
    speckle = rng.gamma(2.0, 0.5, (height, width))
    picture = soften(np.clip(field * speckle + 0.04 * speckle, 0, 1).astype(np.float32), 0.8)
    if rng.random() < 0.2:
        return ramp(picture, [(0, 0, 60), (0, 200, 120), (255, 255, 0), (255, 60, 0)])
    return grey(picture)


def brain(rng: np.random.Generator) -> Pixels:
    """An oval with a bright rim, folded texture and a dark middle, on black."""
    height, width = shape(rng, 200, 420)
    y, x = grid(height, width)
    r = np.hypot(x / rng.uniform(0.6, 0.8), y / rng.uniform(0.78, 0.95))
    folds = 0.5 + 0.5 * np.sin(fractal(rng, height, width, 60) * rng.uniform(15, 40))
    field = np.where(r < 0.82, 0.35 + 0.3 * folds, 0.05)
    field = np.where((r > 0.9) & (r < 1), rng.uniform(0.6, 1), field)
    field = np.where(r > 1, 0, field)
    for side in (-1, 1):
        gap = np.hypot((x + side * 0.12) / 0.09, (y + 0.05) / rng.uniform(0.15, 0.3))
        field = np.where(gap < 1, rng.uniform(0, 0.15) if side < 0 else 0.1, field)
    return grain(rng, grey(soften(field.astype(np.float32), 1.2)), rng.uniform(1, 8))


def endoscopy(rng: np.random.Generator) -> Pixels:
    """A wet pink tunnel with folds, highlights and a dark middle, the corners cut off."""
    height, width = shape(rng, 200, 420)
    y, x = grid(height, width)
    r = np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.3))
    folds = np.sin(r * rng.uniform(8, 20) + 4 * fractal(rng, height, width, 120))
    field = np.clip(r * 0.7 + 0.12 * folds + 0.1 * smooth(rng, height, width, 30), 0, 1)
    flesh: list[Colour] = [(25, 5, 5), (150, 50, 40), (215, 120, 100), (240, 175, 150)]
    picture = ramp(field.astype(np.float32), flesh)
    shine = blobs(rng, height, width, int(rng.integers(3, 14)), 0.05)
    picture = blend(picture, np.full_like(picture, 250), (shine > 0.7).astype(np.float32))
    inside = np.clip((1.25 - np.maximum(np.hypot(x, y), np.abs(x) * 1.2)) * 30, 0, 1)
    return lit(blur(picture, 0.8), inside.astype(np.float32))


ALL: tuple[Draw, ...] = (
    ultrasound,
    ecg,
    hand,
    body_slice,
    trunk_film,
    mammogram,
    uptake_map,
    teeth,
    cells,
    histology,
    oct_layers,
    brain,
    endoscopy,
)


def skin_field(rng: np.random.Generator, height: int, width: int) -> tuple[Pixels, Field]:
    """Skin of any tone with pores and shading, and the light that fell on it."""
    tones: list[Colour] = [
        (241, 214, 196),
        (226, 180, 150),
        (198, 144, 112),
        (150, 100, 72),
        (92, 60, 44),
    ]
    tone = np.array(tones[int(rng.integers(len(tones)))]) + rng.normal(0, 8, 3)
    texture = 0.9 + 0.12 * fractal(rng, height, width, 90) + 0.05 * rng.normal(size=(height, width))
    light = (rng.uniform(0.55, 0.9) + 0.5 * smooth(rng, height, width, 300)).astype(np.float32)
    flat = np.clip(tone[None, None] * texture[..., None], 0, 255).astype(np.uint8)
    return lit(blur(flat, 0.8), light), light
