"""Text in the pixels of a file, looked for once when the file is opened.

Every picture that is read is searched, and of the frames beyond those a sample: `_MOST_OTHERS`
evenly spaced ones, the last among them, since what equipment writes into a recording stands in all
of its frames. Where some were not looked at, the file says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.imaging.burned_in import has_text
from models.imaging.decode import DecodedImage, DecodeLimits, DecodeWarning, decode_numbered

_MOST_OTHERS = 8


def with_text_flags(
    data: bytes, pictures: Sequence[DecodedImage], frames: int, limits: DecodeLimits
) -> tuple[DecodedImage, ...]:
    """The pictures of a file with warnings about text in it.

    `text_in_picture` is of the picture; `text_in_left_out_frame` and `text_search_sampled` are of
    the other frames of the file and stand at each of its pictures. frames: how many the file has.
    Raises ImageRejected where one of the others cannot be decoded.
    """
    others = sampled(len(pictures), frames)
    common: list[DecodeWarning] = []
    if len(others) < frames - len(pictures):
        common.append("text_search_sampled")
    # A generator: no more than one further frame is in memory, and none after the first text.
    if others and any(has_text(one) for one in decode_numbered(data, limits, others)):
        common.append("text_in_left_out_frame")
    flagged = []
    for picture in pictures:
        own: list[DecodeWarning] = ["text_in_picture"] if has_text(picture) else []
        flagged.append(replace(picture, warnings=(*picture.warnings, *own, *common)))
    return tuple(flagged)


def sampled(first: int, frames: int) -> tuple[int, ...]:
    """Which frames from number `first` on are looked at: all of a few, else evenly spread."""
    rest = frames - first
    if rest <= _MOST_OTHERS:
        return tuple(range(first, frames))
    return tuple(first + rest * (place + 1) // _MOST_OTHERS - 1 for place in range(_MOST_OTHERS))
