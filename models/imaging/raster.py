"""PNG and JPEG files -> grey pixels and colours. Called by `models.imaging.decode`.

PNG: 1 to 16 bits of grey, 8 or 16 bits of RGB, palettes, interlaced, 8 bits with alpha. JPEG: 8-bit
grey or YCbCr/RGB, baseline or progressive, turned as its EXIF says.
Refused, because they could only be read by guessing: CMYK and YCCK (inks without the profile that
turns them into light; no medical camera writes them), 16 bits with alpha (would silently lose half
of its depth; an edited picture, no acquisition), animations.
"""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from models.imaging.codestream import jpeg_header, too_many_scans
from models.imaging.decode import (
    DecodedImage,
    DecodeLimits,
    DecodeWarning,
    ImageRejected,
    check_pixels,
    colour_spread,
    luminance,
)

# EXIF 2.32, 4.6.5.1: orientation -> what puts the picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# PNG's IHDR (ISO/IEC 15948, 11.2.2): bit depth and colour type; 4 and 6 carry alpha.
_DEPTH_AT, _COLOUR_TYPE_AT = 24, 25


def decode_raster(
    data: bytes, limits: DecodeLimits, source_format: Literal["png", "jpeg"]
) -> DecodedImage:
    """The picture in `data`; raises ImageRejected."""
    if source_format == "jpeg":
        _check_jpeg(data, limits)
    with _opened(data, limits, source_format) as image:
        check_pixels(image.width, image.height, 1, limits)
        frames = int(getattr(image, "n_frames", 1))
        if frames > 1 and source_format == "png":
            raise ImageRejected("animated", "the file holds an animation")
        if source_format == "png" and data[_DEPTH_AT] == 16 and data[_COLOUR_TYPE_AT] in (4, 6):
            raise ImageRejected("unsupported_format", "16-bit pixels with alpha are not read")
        found: list[DecodeWarning] = ["first_frame_used"] if frames > 1 else []
        try:
            image.load()
            upright = _upright(image)
        except Exception as error:  # Pillow raises what its parsers meet: struct.error, TypeError …
            raise ImageRejected("truncated", "the image data is damaged or cut off") from error
        if _has_alpha(upright):
            found.append("alpha_dropped")
        pixels, rgb = _to_grey(upright)
    colour = 0.0 if rgb is None else colour_spread(rgb)
    return DecodedImage(pixels, source_format, colour=colour, warnings=tuple(found), rgb=rgb)


def measure_raster(data: bytes, limits: DecodeLimits, source_format: Literal["png", "jpeg"]) -> int:
    """The pixels that the header promises; raises ImageRejected."""
    if source_format == "jpeg":
        _check_jpeg(data, limits)
    with _opened(data, limits, source_format) as image:
        check_pixels(image.width, image.height, 1, limits)
        return image.width * image.height


def _check_jpeg(data: bytes, limits: DecodeLimits) -> None:
    try:
        header = jpeg_header(data)
    except ValueError as error:
        raise ImageRejected("truncated", "the header is damaged or cut off") from error
    check_pixels(header.width, header.height, 1, limits)
    if header.components == 4:
        raise ImageRejected("unsupported_format", "CMYK pictures are not read")
    if header.precision != 8:
        raise ImageRejected("unsupported_format", f"{header.precision}-bit JPEG is not read")
    if too_many_scans(data):
        raise ImageRejected("too_large", "the JPEG has too many scans")


def _opened(
    data: bytes, limits: DecodeLimits, source_format: Literal["png", "jpeg"]
) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # The limit is ours, checked before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=[source_format.upper()])
    except Image.DecompressionBombError as error:
        raise ImageRejected("too_large", f"more than {limits.max_pixels} pixels") from error
    except Exception as error:
        if "too large" in str(error):  # Pillow's bound on compressed text and colour profiles
            raise ImageRejected("too_large", "a compressed note unpacks to too much") from error
        raise ImageRejected("truncated", "the header is damaged or cut off") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        method = _UPRIGHT.get(orientation)
    except Exception:  # an EXIF block that cannot be read says nothing: shown as stored
        method = None
    return image if method is None else image.transpose(method)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info


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
    rgb = np.asarray(image.convert("RGB"))
    return luminance(rgb), rgb
