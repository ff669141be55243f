"""Pictures of text, written with installed fonts: pages, chats, code, tables, letters, slides.

Every function takes the pen of its side of the split, so held-out fonts are so in all.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from training.imaging.strangers.canvas import (
    Colour,
    Pixels,
    blur,
    colour,
    grain,
    ink_and_paper,
    lit,
    shape,
    smooth,
)
from training.imaging.strangers.fonts import Pen, wrapped

_KEYWORDS = ("def", "return", "for", "if", "import", "class", "while", "SELECT", "const", "let")
_MARKS = (" ", "(", ") ", " = ", ".", ": ", ", ")
_NAMES = ("value", "index", "rows", "total", "patient", "result", "item", "score", "mean", "count")


def _sheet(rng: np.random.Generator, paper: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    height, width = shape(rng, 240, 640)
    image = Image.new("RGB", (width, height), paper)
    return image, ImageDraw.Draw(image)


def _size(rng: np.random.Generator, low: int = 9, high: int = 24) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high))))


def page(rng: np.random.Generator, pen: Pen) -> Pixels:
    """An article: headings and paragraphs, in one to three columns."""
    ink, paper = ink_and_paper(rng)
    image, draw = _sheet(rng, paper)
    script, columns = pen.script(rng), int(rng.choice([1, 1, 1, 2, 3]))
    font = pen.font(rng, script, _size(rng))
    margin = int(image.width * rng.uniform(0.02, 0.1))
    width = (image.width - margin * (columns + 1)) / columns
    top = margin
    if rng.random() < 0.7:
        title = pen.font(rng, script, int(font.size * rng.uniform(1.3, 2.5)))
        for row in wrapped(pen.words(rng, script, 6), title, image.width - 2 * margin):
            draw.text((margin, top), row, fill=ink, font=title)
            top += int(title.size * 1.3)
    leading = font.size * rng.uniform(1.15, 1.8)
    for column in range(columns):
        left, y = margin + column * (width + margin), float(top + leading)
        while y < image.height - margin:
            for row in wrapped(pen.sentence(rng, script), font, width):
                if y > image.height - margin:
                    break
                draw.text((left, y), row, fill=ink, font=font)
                y += leading
            y += leading * rng.uniform(0.2, 1)
            if rng.random() < 0.12:
                depth = rng.uniform(30, 120)
                draw.rectangle([left, y, left + width, y + depth], fill=colour(rng))
                y += depth + leading
    return np.asarray(image)


def heading(rng: np.random.Generator, pen: Pen) -> Pixels:
    """A few large words: a sign, a poster, a title card, a subtitle on black."""
    ink, paper = ink_and_paper(rng, dark=0.5)
    if rng.random() < 0.5:
        ink, paper = colour(rng), colour(rng)
    image, draw = _sheet(rng, paper)
    script = pen.script(rng)
    font = pen.font(rng, script, int(image.height * rng.uniform(0.06, 0.35)))
    rows = wrapped(pen.words(rng, script, int(rng.integers(1, 7))), font, image.width * 0.9)
    y = rng.uniform(0, 0.6) * image.height
    for row in rows:
        left = (image.width - font.getlength(row)) / 2
        draw.text((left, y), row, fill=ink, font=font)
        y += font.size * 1.25
    return np.asarray(image)


def code(rng: np.random.Generator, pen: Pen) -> Pixels:
    """Source text: indented, coloured, light or dark; now and then a terminal."""
    ink, paper = ink_and_paper(rng, dark=0.65)
    image, draw = _sheet(rng, paper)
    font = pen.font(rng, "en", _size(rng, 8, 18))
    tints = [
        ink,
        *(colour(rng, 90, 255) if sum(paper) < 380 else colour(rng, 0, 160) for _ in "123"),
    ]
    leading, y, depth = font.size * rng.uniform(1.1, 1.5), 4.0, 0
    while y < image.height:
        depth = int(np.clip(depth + rng.integers(-1, 2), 0, 6))
        x = 6 + depth * font.size * 1.6
        for _ in range(int(rng.integers(0, 9))):
            words = _KEYWORDS if rng.random() < 0.3 else _NAMES
            text = str(rng.choice(words)) + str(rng.choice(_MARKS))
            draw.text((x, y), text, fill=tints[int(rng.integers(4))], font=font)
            x += font.getlength(text)
        y += leading
    return np.asarray(image)


def form(rng: np.random.Generator, pen: Pen) -> Pixels:
    """Labels and boxes to fill in, some ticked; receipts and laboratory slips."""
    ink, paper = ink_and_paper(rng, dark=0.15)
    image, draw = _sheet(rng, paper)
    script = pen.script(rng)
    font = pen.font(rng, script, _size(rng, 9, 20))
    y, left = rng.uniform(5, 40), image.width * rng.uniform(0.02, 0.1)
    while y < image.height - font.size:
        draw.text((left, y), pen.words(rng, script, int(rng.integers(1, 4))), fill=ink, font=font)
        middle = image.width * rng.uniform(0.35, 0.6)
        kind = rng.random()
        if kind < 0.4:
            draw.rectangle([middle, y, image.width * 0.95, y + font.size * 1.3], outline=ink)
        elif kind < 0.6:
            draw.line([middle, y + font.size, image.width * 0.95, y + font.size], fill=ink, width=1)
        else:
            draw.text((middle, y), f"{rng.uniform(0, 200):.1f}", fill=ink, font=font)
        y += font.size * rng.uniform(1.5, 2.6)
    return np.asarray(image)


def handwriting(rng: np.random.Generator, pen: Pen) -> Pixels:
    """A printed heading above uneven lines by hand, on ruled or squared paper."""
    ink, paper = colour(rng, 0, 110), colour(rng, 215, 255)
    image, draw = _sheet(rng, paper)
    gap = int(rng.integers(18, 40))
    rule = tuple(int(v * 0.85) for v in paper)
    for y in range(gap, image.height, gap):
        draw.line([0, y, image.width, y], fill=rule)
    if rng.random() < 0.4:
        for across in range(0, image.width, gap):
            draw.line([across, 0, across, image.height], fill=rule)
    for y in range(gap, image.height, gap):
        x = float(rng.uniform(4, 60))
        while x < image.width - 40 and rng.random() < 0.97:
            wave = rng.uniform(0, 2 * np.pi)
            length = rng.uniform(10, 50)
            steps = np.linspace(0, length, 14)
            heights = -np.abs(np.sin(steps * rng.uniform(0.2, 0.7) + wave)) * gap * 0.6
            jitter = rng.normal(0, 1.2, 14)
            draw.line(list(zip(x + steps, y + heights + jitter, strict=True)), fill=ink, width=2)
            x += float(length + rng.uniform(6, 16))
    script = pen.script(rng)
    draw.text((8, 2), pen.words(rng, script, 4), fill=ink, font=pen.font(rng, script, gap - 4))
    return _as_scanned(rng, image) if rng.random() < 0.5 else np.asarray(image)


def letter(rng: np.random.Generator, pen: Pen) -> Pixels:
    """A scanned typed letter: grey, a little askew, shaded, with a stamp."""
    image, draw = _sheet(rng, (244, 244, 240))
    script = pen.script(rng)
    font = pen.font(rng, script, _size(rng, 9, 16))
    margin, y = image.width * 0.1, image.height * rng.uniform(0.05, 0.2)
    for _ in range(int(rng.integers(2, 9))):
        for row in wrapped(pen.sentence(rng, script), font, image.width - 2 * margin):
            draw.text((margin, y), row, fill=(40, 40, 45), font=font)
            y += font.size * 1.4
        y += font.size
    if rng.random() < 0.5:
        r = image.width * 0.12
        cx, cy = image.width * rng.uniform(0.3, 0.8), image.height * rng.uniform(0.5, 0.9)
        draw.ellipse([cx - r, cy - r, cx + r, cy + r], outline=(190, 30, 40), width=3)
    return _as_scanned(rng, image)


def chat(rng: np.random.Generator, pen: Pen) -> Pixels:
    """Speech bubbles on both sides, with round pictures of the speakers."""
    _, paper = ink_and_paper(rng, dark=0.3)
    height, width = (int(v) for v in rng.integers([320, 220], [640, 420]))
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    script = pen.script(rng)
    font = pen.font(rng, script, _size(rng, 11, 19))
    dark = sum(paper) < 380
    mine, theirs = colour(rng, 110, 230), (60, 62, 66) if dark else (255, 255, 255)
    if dark:
        mine = colour(rng, 30, 120)
    y = rng.uniform(4, 30)
    while y < height:
        own = rng.random() < 0.5
        rows = wrapped(pen.words(rng, script, int(rng.integers(2, 16))), font, width * 0.62)
        wide = max((font.getlength(row) for row in rows), default=20) + 18
        deep = len(rows) * font.size * 1.3 + 12
        left = width - wide - 44 if own else 44
        draw.rounded_rectangle([left, y, left + wide, y + deep], 8, fill=mine if own else theirs)
        face = width - 38 if own else 6
        draw.ellipse([face, y, face + 30, y + 30], fill=colour(rng))
        for number, row in enumerate(rows):
            at = (left + 9, y + 6 + number * font.size * 1.3)
            draw.text(at, row, fill=(235, 235, 235) if dark else (25, 25, 25), font=font)
        y += deep + rng.uniform(10, 26)
    return np.asarray(image)


def table(rng: np.random.Generator, pen: Pen) -> Pixels:
    """A grid of words and numbers, rules or stripes, a heading row."""
    ink, paper = ink_and_paper(rng, dark=0.2)
    image, draw = _sheet(rng, paper)
    script = pen.script(rng)
    font = pen.font(rng, script, _size(rng, 9, 17))
    deep, columns = font.size * rng.uniform(1.4, 2.2), int(rng.integers(2, 9))
    wide = image.width / columns
    head = colour(rng)
    for number in range(int(image.height / deep) + 1):
        y = number * deep
        if number == 0:
            draw.rectangle([0, 0, image.width, deep], fill=head)
        elif number % 2 and rng.random() < 0.8:
            shade = tuple(int(v * 0.94) for v in paper)
            draw.rectangle([0, y, image.width, y + deep], fill=shade)
        for column in range(columns):
            text = (
                pen.words(rng, script, 2)
                if column == 0 or rng.random() < 0.2
                else f"{rng.normal(50, 40):.{int(rng.integers(0, 3))}f}"
            )
            draw.text((column * wide + 4, y + 3), text[:14], fill=ink, font=font)
        draw.line([0, y, image.width, y], fill=ink)
    for column in range(columns):
        draw.line([column * wide, 0, column * wide, image.height], fill=ink)
    return np.asarray(image)


def slide(rng: np.random.Generator, pen: Pen) -> Pixels:
    """A title bar, bullet points and a coloured figure, 16:9 or 4:3."""
    width = int(rng.integers(320, 640))
    height = int(width / (16 / 9 if rng.random() < 0.6 else 4 / 3))
    ink, paper = ink_and_paper(rng, dark=0.35)
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    script = pen.script(rng)
    draw.rectangle([0, 0, width, height * 0.18], fill=colour(rng))
    title = pen.font(rng, script, int(height * 0.09))
    draw.text((width * 0.05, height * 0.04), pen.words(rng, script, 5), fill=ink, font=title)
    body = pen.font(rng, script, int(height * rng.uniform(0.045, 0.075)))
    for number in range(int(rng.integers(3, 8))):
        y = height * 0.24 + number * body.size * 1.7
        draw.ellipse([width * 0.05, y + 4, width * 0.05 + 6, y + 10], fill=ink)
        draw.text((width * 0.08, y), pen.words(rng, script, 6), fill=ink, font=body)
    if rng.random() < 0.6:
        box = [width * 0.62, height * 0.3, width * 0.95, height * 0.9]
        for _ in range(int(rng.integers(1, 6))):
            draw.pieslice(box, int(rng.integers(360)), int(rng.integers(360)), fill=colour(rng))
    return np.asarray(image)


def _as_scanned(rng: np.random.Generator, image: Image.Image) -> Pixels:
    turned = image.rotate(float(rng.normal(0, 2)), expand=False, fillcolor=(120, 120, 120))
    pixels = np.asarray(turned)
    light = rng.uniform(0.6, 1) + 0.25 * smooth(rng, image.height, image.width, 300)
    shaded = grain(rng, lit(blur(pixels, rng.uniform(0.2, 1.2)), light), rng.uniform(1, 9))
    if rng.random() < 0.6:
        return np.repeat(shaded.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    return shaded
