"""Bytes of an upload -> grey pixels and what the file says about them. Trusts nothing.

Accepts PNG and JPEG (`models.imaging.raster`) and DICOM (`models.imaging.dicom`). The format is
told by the first bytes, never by a file name. Size in bytes and in pixels is checked from the
header before anything is decoded. Everything else raises `ImageRejected`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.errors import ModelError

RejectionCode = Literal[
    "unsupported_format", "truncated", "too_large", "no_pixel_data", "not_an_image", "animated"
]
SourceFormat = Literal["dicom", "png", "jpeg"]
DecodeWarning = Literal[
    "first_frame_used",
    "frames_left_out",
    "alpha_dropped",
    "no_voi_window",
    "padding_removed",
    "header_ignored",
    "hounsfield_unknown",
    "text_in_picture",
    "text_in_left_out_frame",
    "text_search_sampled",
]

_OTHER_IMAGES = (b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\0\0\0\x0cjP  ", b"%PDF", b"<svg")


class ImageRejected(ModelError):
    """The bytes are not an image that can be read safely. The message holds no content of it."""

    def __init__(self, code: RejectionCode, message: str) -> None:
        super().__init__(message)
        self.code: RejectionCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Upper bounds, checked before decoding: file size in bytes, pixels over all frames.

    max_frames: how many frames of one file are decoded; the others are left out with a warning.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_frames: int = 8


@dataclass(frozen=True, slots=True)
class Measure:
    """What a file's header promises: pixels over all frames, and frames."""

    pixels: int
    frames: int


@dataclass(frozen=True, slots=True)
class DicomMetadata:
    """What the header says; None where it says nothing. Holds nothing that identifies anybody.

    age_years: PatientAge, or study date less birth date. burned_in: BurnedInAnnotation.
    """

    age_years: float | None = None
    sex: str | None = None
    modality: str | None = None
    body_part: str | None = None
    view_position: str | None = None
    burned_in: bool | None = None


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """pixels: float32 [H, W] in 0..1, bright = dense as on a film.

    colour: mean spread between the colour channels in 0..1 (0 for grey files).
    rgb: uint8 [H, W, 3], None for a grey file.
    hounsfield: int16 [H, W] in HU of a CT that says how its values are rescaled, else None.
    """

    pixels: npt.NDArray[np.float32]
    source_format: SourceFormat
    metadata: DicomMetadata = field(default_factory=DicomMetadata)
    colour: float = 0.0
    warnings: tuple[DecodeWarning, ...] = ()
    rgb: npt.NDArray[np.uint8] | None = None
    hounsfield: npt.NDArray[np.int16] | None = None


def decode(data: bytes, limits: DecodeLimits | None = None) -> DecodedImage:
    """The image in `data`, the first where it holds several; raises ImageRejected with a code."""
    return _frames(data, limits or DecodeLimits(), 1, "first_frame_used")[0]


def decode_frames(data: bytes, limits: DecodeLimits | None = None) -> tuple[DecodedImage, ...]:
    """Every frame of the image in `data`, up to `max_frames`; raises ImageRejected with a code.

    Where a file holds more frames, each of those decoded carries the warning `frames_left_out`.
    """
    bounds = limits or DecodeLimits()
    return _frames(data, bounds, bounds.max_frames, "frames_left_out")


def decode_numbered(
    data: bytes, limits: DecodeLimits, numbers: Sequence[int]
) -> Iterator[DecodedImage]:
    """Frames of a DICOM file by their numbers, counted from 0, one in memory at a time.

    Raises ImageRejected with a code.
    """
    from models.imaging.dicom import decode_dicom
    from models.imaging.dicom_file import read_image

    return decode_dicom(read_image(data, limits), numbers)


def measure(data: bytes, limits: DecodeLimits | None = None) -> Measure:
    """What the header promises, before anything is decoded; raises ImageRejected with a code."""
    from models.imaging.dicom_file import read_image
    from models.imaging.raster import measure_raster

    bounds = limits or DecodeLimits()
    source_format = _format(data, bounds)
    if source_format == "dicom":
        image = read_image(data, bounds)
        return Measure(image.rows * image.columns * image.frames, image.frames)
    return Measure(measure_raster(data, bounds, source_format), 1)


def _frames(
    data: bytes, limits: DecodeLimits, max_frames: int, left_out: DecodeWarning
) -> tuple[DecodedImage, ...]:
    # Late: these modules need the names above.
    from models.imaging.dicom import decode_dicom
    from models.imaging.dicom_file import read_image
    from models.imaging.raster import decode_raster

    source_format = _format(data, limits)
    if source_format != "dicom":
        return (decode_raster(data, limits, source_format),)
    image = read_image(data, limits)
    numbers = range(min(image.frames, max_frames))
    found = decode_dicom(image, numbers)
    if len(numbers) == image.frames:
        return tuple(found)
    return tuple(replace(one, warnings=(left_out, *one.warnings)) for one in found)


def _format(data: bytes, limits: DecodeLimits) -> SourceFormat:
    from models.imaging.dicom_file import is_dicom

    if len(data) > limits.max_bytes:
        raise ImageRejected("too_large", f"{len(data)} bytes; at most {limits.max_bytes}")
    if is_dicom(data):
        return "dicom"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(_OTHER_IMAGES):
        raise ImageRejected("unsupported_format", "only DICOM, PNG and JPEG are read")
    raise ImageRejected("not_an_image", "the content is neither DICOM nor PNG nor JPEG")


def check_pixels(width: int, height: int, frames: int, limits: DecodeLimits) -> None:
    """Raises too_large when the header promises more pixels than allowed, or none at all."""
    if width < 1 or height < 1:
        raise ImageRejected("no_pixel_data", "the image has no pixels")
    if width * height * max(1, frames) > limits.max_pixels:
        raise ImageRejected(
            "too_large", f"{width} x {height} x {frames} pixels; at most {limits.max_pixels}"
        )


def colour_spread(rgb: npt.NDArray[np.uint8]) -> float:
    """Mean difference between the largest and the smallest channel [H, W, 3], in 0..1."""
    return float(np.mean(rgb.max(axis=2) - rgb.min(axis=2))) / 255.0


def luminance(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Grey float32 [H, W] in 0..1 of colours [H, W, 3], weighed as ITU-R BT.601 does."""
    grey = Image.fromarray(rgb).convert("L")
    return np.asarray(grey, dtype=np.float32) / np.float32(255.0)
