"""Text that is drawn into a picture: where, so that a person looks before it is passed on.

Names and dates burned into pixels survive every removal of headers (PS3.15, E.3.1), so they are
flagged, not cleaned. No characters are read: text is a row of at least `_MIN_GLYPHS` marks of one
ink, alike in height, on one line, close together. A lone side marker (R, L) or a projection (A-P)
is none.

The picture is looked at with its longest side at most `LOOKED_AT` pixels; letters less than about
seven of those pixels high are missed, as are single words of one to three letters and handwriting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from models.imaging.decode import DecodedImage

LOOKED_AT = 1024
MIN_SIDE = 64

_CELL = 8
_STEP = 40  # a step of grey between neighbours that a drawn edge exceeds, of 255
_EDGES_PER_CELL = 5
_MOST_PLACES = 48
_MOST_MARKS = 600  # per place and ink: what bounds the cost of noise; a line of print has 40
_CONTRAST = 45
_MIN_GLYPHS, _MIN_HEIGHT, _MAX_HEIGHT = 4, 5, 96
_ALIKE = 0.62  # the lower of two glyphs' heights over the higher
_ONE_LINE = 0.3  # how far middles may lie apart, in heights
_GAP = 1.1  # white space between neighbours, in heights
_ONE_INK = 0.25  # how far the inks of a line may lie apart, in parts of its contrast

_Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TextRegion:
    """A box around drawn text, as fractions 0..1 of the picture's height and width."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True, slots=True)
class _Glyph:
    top: int
    left: int
    bottom: int
    right: int
    ink: float
    ground: float

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def has_text(image: DecodedImage) -> bool:
    """Whether anything looks like drawn text; stops at the first line of it."""
    return next(_print(_looked_at(image)), None) is not None


def find_text(image: DecodedImage) -> tuple[TextRegion, ...]:
    """Boxes around what looks like drawn text, from top to bottom; empty for most pictures."""
    grey = _looked_at(image)
    height, width = grey.shape
    lines = _print(grey)
    regions = {
        TextRegion(
            min(g.top for g in line) / height,
            min(g.left for g in line) / width,
            (max(g.bottom for g in line) - min(g.top for g in line)) / height,
            (max(g.right for g in line) - min(g.left for g in line)) / width,
        )
        for line in lines
    }
    return tuple(sorted(regions, key=lambda region: (region.top, region.left)))


def _print(grey: _Grey) -> Iterator[list[_Glyph]]:
    """Lines of print, none in a patch: that is too small to name anybody."""
    if min(grey.shape) >= MIN_SIDE:
        for place in _places(grey):
            yield from _lines(grey, place)


def _looked_at(image: DecodedImage) -> _Grey:
    grey = Image.fromarray((image.pixels * np.float32(255.0)).astype(np.uint8))
    factor = -(-max(grey.size) // LOOKED_AT)
    return np.asarray(grey.reduce(factor) if factor > 1 else grey)


def _places(grey: _Grey) -> list[tuple[slice, slice]]:
    """Where steep edges crowd: the boxes worth a closer look, at most `_MOST_PLACES`."""
    rows, columns = grey.shape[0] // _CELL, grey.shape[1] // _CELL
    before, after = grey[:, :-1], grey[:, 1:]
    steep = np.zeros(grey.shape, dtype=np.uint8)
    np.greater(np.maximum(before, after) - np.minimum(before, after), _STEP, out=steep[:, :-1])
    # Rows first: adding whole rows of bytes is many times faster than adding cells.
    bands = steep[: rows * _CELL].reshape(rows, _CELL, -1).sum(axis=1, dtype=np.uint8)
    cells = bands[:, : columns * _CELL].reshape(rows, columns, _CELL).sum(axis=2, dtype=np.uint8)
    crowded = cells >= _EDGES_PER_CELL
    # Words of one line belong to one place.
    joined = ndimage.binary_dilation(crowded, np.ones((1, 3), dtype=bool))
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(labels) if box[1].stop - box[1].start >= 3]
    boxes.sort(key=lambda box: -(box[1].stop - box[1].start))
    return [
        (
            slice(max(0, box[0].start - 1) * _CELL, (box[0].stop + 1) * _CELL),
            slice(max(0, box[1].start - 1) * _CELL, (box[1].stop + 1) * _CELL),
        )
        for box in boxes[:_MOST_PLACES]
    ]


def _lines(grey: _Grey, place: tuple[slice, slice]) -> Iterator[list[_Glyph]]:
    crop = grey[place].astype(np.int16)
    for sign in (1, -1):
        signed = crop * np.int16(sign)
        glyphs = _glyphs(signed, place[0].start, place[1].start)
        yield from _in_line(glyphs)


def _glyphs(signed: npt.NDArray[np.int16], top: int, left: int) -> list[_Glyph]:
    """Marks that stand out brightly, of a letter's size."""
    ground = ndimage.uniform_filter(signed, 31, mode="nearest")
    marks = signed > ground + _CONTRAST // 2
    labels, _ = ndimage.label(marks, np.ones((3, 3)))
    found = []
    for index, box in enumerate(ndimage.find_objects(labels)):
        height, width = (side.stop - side.start for side in box)
        if not _MIN_HEIGHT <= height <= _MAX_HEIGHT or width > 2.5 * height:
            continue
        own = labels[box] == index + 1
        filled = np.count_nonzero(own) / (height * width)
        around = signed[
            max(0, box[0].start - 2) : box[0].stop + 2, max(0, box[1].start - 2) : box[1].stop + 2
        ]
        floor, ink = float(around.min()), float(signed[box][own].max())
        if ink - floor < _CONTRAST or filled < 0.12 or (filled > 0.9 and width > 0.5 * height):
            continue
        found.append(
            _Glyph(
                top + box[0].start,
                left + box[1].start,
                top + box[0].stop,
                left + box[1].stop,
                ink,
                floor,
            )
        )
        if len(found) == _MOST_MARKS:
            break
    return found


def _in_line(glyphs: list[_Glyph]) -> Iterator[list[_Glyph]]:
    """Chains of glyphs from left to right that look like one line of print.

    Only the nearest few are looked at for the next letter, so that a picture full of marks costs
    no more than its marks.
    """
    order = sorted(glyphs, key=lambda glyph: glyph.left)
    taken = [False] * len(order)
    for start, first in enumerate(order):
        if taken[start]:
            continue
        line = [first]
        for place in range(start + 1, len(order)):
            if order[place].left - line[-1].right > _GAP * _MAX_HEIGHT:
                break
            if not taken[place] and _follows(line, order[place]):
                line.append(order[place])
                taken[place] = True
        if _is_print(line):
            yield line


def _follows(line: list[_Glyph], glyph: _Glyph) -> bool:
    last = line[-1]
    low, high = sorted((last.height, glyph.height))
    middles = abs((last.top + last.bottom) - (glyph.top + glyph.bottom)) / 2
    gap = glyph.left - last.right
    return (
        low >= _ALIKE * high and middles <= _ONE_LINE * high and -0.3 * high <= gap <= _GAP * high
    )


def _is_print(line: list[_Glyph]) -> bool:
    if len(line) < _MIN_GLYPHS:
        return False
    inks = np.array([glyph.ink for glyph in line])
    contrast = float(np.median([glyph.ink - glyph.ground for glyph in line]))
    wide = sum(glyph.width > 0.35 * glyph.height for glyph in line)
    return bool(inks.max() - inks.min() <= _ONE_INK * contrast) and wide >= len(line) / 2
