"""Text is looked for in every picture of a file and in a sample of its other frames."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from models.imaging.decode import DecodeLimits, decode_frames
from models.imaging.text_search import sampled, with_text_flags
from tests.models.imaging.files import dicom_bytes

LIMITS = DecodeLimits()


def recording(frames: int, *with_text: int) -> bytes:
    """A DICOM of that many soft frames, some with a name in a corner."""
    stack = np.zeros((frames, 128, 256), dtype=np.uint8)
    for number in range(frames):
        picture = Image.fromarray(np.full((128, 256), 40 + number % 40, dtype=np.uint8))
        if number in with_text:
            draw = ImageDraw.Draw(picture)
            draw.text((8, 8), "ZHANG SAN 1987", fill=250, font=ImageFont.load_default(20))
        stack[number] = np.asarray(picture)
    return dicom_bytes(stack, frames=frames, WindowCenter=127.5, WindowWidth=256)


def flags(frames: int, *with_text: int) -> list[set[str]]:
    data = recording(frames, *with_text)
    pictures = with_text_flags(data, decode_frames(data, LIMITS), frames, LIMITS)
    return [{w for w in picture.warnings if w.startswith("text_")} for picture in pictures]


def test_a_picture_with_text_is_flagged_and_its_neighbour_is_not() -> None:
    assert flags(3, 1) == [set(), {"text_in_picture"}, set()]


@pytest.mark.parametrize("number", [8, 12, 15])
def test_text_in_a_frame_that_is_not_read_is_told_at_every_picture(number: int) -> None:
    assert flags(16, number) == [{"text_in_left_out_frame"}] * 8


def test_of_many_frames_some_are_looked_at_and_that_is_said() -> None:
    assert flags(40, *range(40))[0] == {
        "text_in_picture", "text_in_left_out_frame", "text_search_sampled",
    }  # fmt: skip
    assert flags(40, 39)[3] == {"text_in_left_out_frame", "text_search_sampled"}
    assert flags(40)[7] == {"text_search_sampled"}


def test_the_sample_is_spread_evenly_and_ends_with_the_last_frame() -> None:
    assert sampled(8, 8) == ()
    assert sampled(8, 12) == (8, 9, 10, 11)
    many = sampled(8, 508)
    assert (len(many), many[-1]) == (8, 507)
    assert max(np.diff((7, *many))) <= 63
