"""Bytes of an upload -> grey pixels and what the file says about them. Trusts nothing.

Accepts PNG (also 16-bit), JPEG (EXIF orientation applied) and, through `models.imaging.dicom`,
DICOM. The format is told by the first bytes, never by a file name. Size in bytes and in pixels is
checked from the header before anything is decoded. Everything else raises `ImageRejected`.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from models.errors import ModelError

RejectionCode = Literal[
    "unsupported_format", "truncated", "too_large", "no_pixel_data", "not_an_image", "animated"
]
SourceFormat = Literal["dicom", "png", "jpeg"]
DecodeWarning = Literal["first_frame_used", "alpha_dropped", "no_voi_window", "padding_removed"]

_OTHER_IMAGES = (b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\0\0\0\x0cjP  ", b"%PDF", b"<svg")


class ImageRejected(ModelError):
    """The bytes are not an image that can be read safely. The message holds no content of it."""

    def __init__(self, code: RejectionCode, message: str) -> None:
        super().__init__(message)
        self.code: RejectionCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Upper bounds, checked before decoding: file size in bytes, pixels over all frames."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000


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
    """

    pixels: npt.NDArray[np.float32]
    source_format: SourceFormat
    metadata: DicomMetadata = field(default_factory=DicomMetadata)
    colour: float = 0.0
    warnings: tuple[DecodeWarning, ...] = ()
    rgb: npt.NDArray[np.uint8] | None = None


def decode(data: bytes, limits: DecodeLimits | None = None) -> DecodedImage:
    """The image in `data`; raises ImageRejected with a code."""
    bounds = limits or DecodeLimits()
    if len(data) > bounds.max_bytes:
        raise ImageRejected("too_large", f"{len(data)} bytes; at most {bounds.max_bytes}")
    if data[128:132] == b"DICM":
        from models.imaging.dicom import decode_dicom

        return decode_dicom(data, bounds)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _decode_raster(data, bounds, "png")
    if data.startswith(b"\xff\xd8\xff"):
        return _decode_raster(data, bounds, "jpeg")
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


def _decode_raster(
    data: bytes, limits: DecodeLimits, source_format: Literal["png", "jpeg"]
) -> DecodedImage:
    try:
        with warnings.catch_warnings():
            # The limit is ours, checked below before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])
    except Image.DecompressionBombError as error:
        raise ImageRejected("too_large", f"more than {limits.max_pixels} pixels") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageRejected("truncated", "the header is damaged or cut off") from error
    with image:
        check_pixels(image.width, image.height, 1, limits)
        frames = int(getattr(image, "n_frames", 1))
        if frames > 1 and source_format == "png":
            raise ImageRejected("animated", "the file holds an animation")
        found: list[DecodeWarning] = ["first_frame_used"] if frames > 1 else []
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
        except Exception as error:  # Pillow raises what its parsers meet: struct.error, TypeError …
            raise ImageRejected("truncated", "the image data is damaged or cut off") from error
        if _has_alpha(upright):
            found.append("alpha_dropped")
        pixels, rgb = _to_grey(upright)
    colour = 0.0 if rgb is None else colour_spread(rgb)
    return DecodedImage(pixels, source_format, colour=colour, warnings=tuple(found), rgb=rgb)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info


def colour_spread(rgb: npt.NDArray[np.uint8]) -> float:
    """Mean difference between the largest and the smallest channel [H, W, 3], in 0..1."""
    return float(np.mean(rgb.max(axis=2) - rgb.min(axis=2))) / 255.0


def _to_grey(
    image: Image.Image,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]:
    """Grey float32 [H, W] in 0..1, and the colours [H, W, 3] where the file has any."""
    if image.mode.startswith("I"):  # I;16 and I: 16 significant bits
        deep = np.asarray(image).astype(np.float32)
        return np.clip(deep / np.float32(65535.0), 0.0, 1.0).astype(np.float32), None
    if image.mode in ("1", "L") and not _has_alpha(image):
        return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255.0), None
    if _has_alpha(image):
        solid = Image.new("RGBA", image.size, (0, 0, 0, 255))
        solid.alpha_composite(image.convert("RGBA"))
        image = solid
    rgb = image.convert("RGB")
    grey = np.asarray(rgb.convert("L"), dtype=np.float32) / np.float32(255.0)
    return grey, np.asarray(rgb)
