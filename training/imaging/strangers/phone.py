"""What a phone makes of medical images: films on boxes and monitors, lesions from far, collages.

The images inside are of the known kinds, but no longer what the models read: tilted, with borders,
moire, glare, hands, or a lesion that is a speck on an arm. Only what a physician would not read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from training.imaging.strangers.canvas import (
    Colour,
    Draw,
    Pixels,
    blend,
    blobs,
    blur,
    colour,
    grain,
    grid,
    in_perspective,
    lit,
    resize,
    shape,
    smooth,
)
from training.imaging.strangers.medical import Kind, MedicalImages
from training.imaging.strangers.odd_medical import skin_field
from training.imaging.strangers.photos import Photographs

KINDS: tuple[Kind, ...] = ("chest_xray", "fundus", "dermoscopy", "ct_patch")


@dataclass(frozen=True, slots=True)
class Studio:
    """What is photographed, and where: both of one side of the split."""

    images: MedicalImages
    photos: Photographs


PhoneDraw = Callable[[np.random.Generator, Studio], Pixels]


def on_monitor(rng: np.random.Generator, studio: Studio) -> Pixels:
    """An image in a viewer on a monitor, seen at an angle, with moire and glare."""
    kind = KINDS[int(rng.choice(4, p=[0.45, 0.2, 0.15, 0.2]))]
    screen = _viewer(rng, studio.images.draw(rng, kind))
    scene = _room(rng, studio)
    return _by_phone(rng, _moire(rng, in_perspective(rng, screen, scene)))


def on_light_box(rng: np.random.Generator, studio: Studio) -> Pixels:
    """A film with wide borders and clips on a bright, uneven box."""
    film = studio.images.draw(rng, "chest_xray")
    height, width = film.shape[:2]
    border = int(width * rng.uniform(0.05, 0.2))
    sheet = np.full(
        (height + 2 * border, width + 2 * border, 3), int(rng.integers(0, 40)), np.uint8
    )
    sheet[border : border + height, border : border + width] = film
    rows, columns = shape(rng, 260, 420)
    light = 0.75 + 0.3 * smooth(rng, rows, columns, 200)
    box = lit(np.full((rows, columns, 3), colour(rng, 215, 255), np.uint8), light)
    return _by_phone(rng, in_perspective(rng, sheet, box, 0.2))


def skin_near(rng: np.random.Generator) -> Pixels:
    """A lesion drawn, not dermoscopic, on skin with hair or a ruler: a clinical close-up."""
    height, width = shape(rng, 240, 420)
    skin, light = skin_field(rng, height, width)
    y, x = grid(height, width)
    size = rng.uniform(0.06, 0.3)
    ragged = rng.uniform(0.2, 1.2) * (smooth(rng, height, width, 30) - 0.5)
    r = np.hypot(x - rng.uniform(-0.5, 0.5), (y - rng.uniform(-0.5, 0.5)) * 1.1) / size + ragged
    tints: list[Colour] = [(70, 40, 30), (150, 60, 55), (200, 110, 95), (45, 35, 35)]
    spot = lit(np.full_like(skin, tints[int(rng.integers(4))]), light)
    skin = blend(skin, spot, np.clip((1 - r) * 4, 0, rng.uniform(0.4, 0.95)).astype(np.float32))
    return _by_phone(rng, _dressed(rng, skin))


def skin_rash(rng: np.random.Generator) -> Pixels:
    """Many red spots or plaques on a large field of skin."""
    height, width = shape(rng, 240, 420)
    skin, light = skin_field(rng, height, width)
    count, size = int(rng.integers(5, 90)), rng.uniform(0.02, 0.12)
    red = lit(np.full_like(skin, (int(rng.integers(150, 215)), 70, 65)), light)
    spots = blobs(rng, height, width, count, size) * (0.6 + 0.4 * smooth(rng, height, width, 15))
    share = np.clip(spots * rng.uniform(0.3, 0.9), 0, 1).astype(np.float32)
    return _by_phone(rng, _dressed(rng, blend(skin, red, share)))


def skin_plain(rng: np.random.Generator) -> Pixels:
    """Skin without anything on it, or a limb's edge against a ground."""
    height, width = shape(rng, 240, 420)
    skin, _ = skin_field(rng, height, width)
    if rng.random() < 0.6:
        y, x = grid(height, width)
        angle, wide = rng.uniform(0, np.pi), rng.uniform(0.3, 0.8)
        across = np.abs(x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-0.3, 0.3))
        ground = np.full_like(skin, colour(rng))
        skin = blend(ground, skin, np.clip((wide - across) * 40, 0, 1))
    return _by_phone(rng, _dressed(rng, skin))


def film_in_hand(rng: np.random.Generator, studio: Studio) -> Pixels:
    """A film held against a window or a wall, a thumb over its edge."""
    sheet = studio.images.draw(rng, "chest_xray")
    if rng.random() < 0.5:
        sheet = blend(
            sheet,
            resize(studio.photos.opaque(rng), *sheet.shape[:2]),
            np.full(sheet.shape[:2], rng.uniform(0.1, 0.35), np.float32),
        )
    scene = in_perspective(rng, sheet, _room(rng, studio), 0.3)
    height, width = scene.shape[:2]
    skin, _ = skin_field(rng, height, width)
    y, x = grid(height, width)
    share = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        thick, at = rng.uniform(0.07, 0.16), rng.uniform(-0.8, 0.8)
        tip = rng.uniform(-0.75, -0.3)
        finger = (np.abs(y - at - 0.2 * (x - tip)) < thick) & (x < tip)
        share = np.maximum(share, np.clip(finger, 0, 1).astype(np.float32))
    return _by_phone(rng, blend(scene, skin, share))


def skin_far(rng: np.random.Generator, studio: Studio) -> Pixels:
    """A real lesion as a speck on a large field of skin, with clothing, hair or a ruler."""
    height, width = shape(rng, 260, 420)
    skin, light = skin_field(rng, height, width)
    lesion = studio.images.draw(rng, "dermoscopy")
    side = int(min(height, width) * rng.uniform(0.12, 0.3))
    small = resize(lesion, side, side)
    yy, xx = grid(side, side)
    # Only the middle of the dermoscopic image is lesion; the rest would be a pasted square.
    inside = np.clip((0.8 - np.hypot(xx, yy)) * 4, 0, 1) * 0.9
    top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
    window = (slice(top, top + side), slice(left, left + side))
    skin = skin.copy()
    skin[window] = blend(skin[window], lit(small, light[window]), inside.astype(np.float32))
    return _by_phone(rng, _dressed(rng, skin))


def collage(rng: np.random.Generator, studio: Studio) -> Pixels:
    """Two to nine images of several kinds side by side, or one under a huge caption bar."""
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    cell, gap = int(rng.integers(70, 150)), int(rng.integers(0, 12))
    board = np.full(
        (rows * (cell + gap) + gap, columns * (cell + gap) + gap, 3), colour(rng), np.uint8
    )
    fixed = KINDS[int(rng.integers(4))] if rng.random() < 0.4 else None
    for row in range(rows):
        for column in range(columns):
            tile = studio.images.draw(rng, fixed or KINDS[int(rng.integers(4))])
            top, left = gap + row * (cell + gap), gap + column * (cell + gap)
            board[top : top + cell, left : left + cell] = resize(tile, cell, cell)
    return board


STAGED: tuple[PhoneDraw, ...] = (on_monitor, on_light_box, film_in_hand, skin_far, collage)
DRAWN: tuple[Draw, ...] = (skin_near, skin_rash, skin_plain)


def _viewer(rng: np.random.Generator, image: Pixels) -> Pixels:
    """The image inside a program's window: bars, buttons, a thick frame."""
    width = int(rng.integers(360, 520))
    height = int(width / rng.uniform(1.3, 1.8))
    tone = int(rng.integers(10, 70)) if rng.random() < 0.7 else int(rng.integers(180, 240))
    screen = Image.new("RGB", (width, height), (tone, tone, tone))
    draw = ImageDraw.Draw(screen)
    side = int(height * rng.uniform(0.6, 0.92))
    left = int((width - side) * rng.uniform(0.1, 0.9))
    tile = Image.fromarray(image).resize((int(side * image.shape[1] / image.shape[0]), side))
    screen.paste(tile, (left, (height - side) // 2))
    bar = colour(rng)
    draw.rectangle([0, 0, width, int(height * 0.05)], fill=bar)
    for number in range(int(rng.integers(3, 16))):
        y = int(height * 0.08) + number * 18
        draw.rectangle([4, y, int(width * 0.09), y + 8], fill=colour(rng, 90, 200))
    edge = int(rng.integers(6, 18))
    draw.rectangle([0, 0, width - 1, height - 1], outline=(15, 15, 15), width=edge)
    return np.asarray(screen)


def _room(rng: np.random.Generator, studio: Studio) -> Pixels:
    height, width = shape(rng, 260, 420)
    return blur(resize(studio.photos.opaque(rng), height, width), rng.uniform(0, 4))


def _moire(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    y, x = grid(height, width)
    waves = np.zeros((height, width), np.float32)
    for _ in range(2):
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.02, 0.12)
        warp = 0.05 * smooth(rng, height, width, 150)
        waves += np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle) + warp) / period)
    return lit(pixels, (1 + rng.uniform(0.02, 0.15) * waves).astype(np.float32))


def _dressed(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Hairs, a ruler, the edge of a sleeve."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(5, 70))):
            x, y = rng.uniform(0, 1, 2) * [width, height]
            points = [(x, y), (x + rng.normal(0, 15), y + rng.normal(0, 15))]
            draw.line(points, fill=colour(rng, 10, 70), width=1)
    if rng.random() < 0.25:
        top = height * rng.uniform(0.7, 0.9)
        draw.rectangle([0, top, width, height], fill=colour(rng, 200, 250))
        for number in range(0, width, 6):
            draw.line(
                [number, top, number, top + (14 if number % 30 == 0 else 7)], fill=(20, 20, 20)
            )
    if rng.random() < 0.35:
        cloth = colour(rng)
        slope = rng.uniform(-0.3, 0.3) * height
        edge = height * rng.uniform(0.08, 0.3)
        corners = [(0, 0), (width, 0), (width, edge + slope), (0, edge)]
        draw.polygon([(float(a), float(b)) for a, b in corners], fill=cloth)
    return np.asarray(image)


def _by_phone(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """A colour cast, uneven light, a lamp's glare, blur and grain."""
    cast = rng.normal(1, 0.06, 3)
    pixels = np.clip(pixels * cast, 0, 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    if rng.random() < 0.4:
        y, x = grid(height, width)
        r = np.hypot(x - rng.uniform(-0.8, 0.8), y - rng.uniform(-0.8, 0.8))
        glare = np.clip(1 - r / rng.uniform(0.1, 0.5), 0, 1) * rng.uniform(0.3, 1)
        pixels = blend(pixels, np.full_like(pixels, 255), glare.astype(np.float32))
    if rng.random() < 0.5:
        pixels = blur(pixels, rng.uniform(0.3, 1.5))
    return grain(rng, pixels, rng.uniform(0, 7))
