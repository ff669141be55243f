"""Which DICOM transfer syntaxes are read, with what, and a check before any codec runs.

Native pixels and the envelope are pydicom's; JPEG baseline and JPEG 2000 go to Pillow, JPEG-LS to
pyjpegls, and what neither reads (12-bit and lossless JPEG, RLE) to imagecodecs (libjpeg-turbo 3),
which this module plugs into pydicom. All of them carry permissive licences. `check_codestream`
compares what a compressed frame says of itself with the DICOM header, because a codec believes the
frame and would make room for whatever size that claims.
"""

from __future__ import annotations

import numpy as np
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from models.imaging.codestream import jpeg_2000_header, jpeg_header, too_many_scans

_OURS = "imagecodecs"

# Transfer syntax -> pydicom's name of the plugin that decodes it, "" for native pixels.
PLUGINS: dict[str, str] = {
    ImplicitVRLittleEndian: "",
    ExplicitVRLittleEndian: "",
    ExplicitVRBigEndian: "",
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: _OURS,
    JPEGLossless: _OURS,
    JPEGLosslessSV1: _OURS,
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pillow",
    JPEG2000: "pillow",
    RLELossless: _OURS,
}
LOSSY: frozenset[str] = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000}
)
_JPEG_2000 = frozenset({JPEG2000, JPEG2000Lossless})


def check_codestream(frame: bytes, syntax: str, rows: int, columns: int, samples: int) -> None:
    """Raises ValueError unless the frame is whole and of the size that the header promises."""
    if syntax == RLELossless:
        return  # bounded in `_decode_frame`: RLE states no size
    if syntax in _JPEG_2000:
        found = jpeg_2000_header(frame)
    else:
        found = jpeg_header(frame)
        if not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
            raise ValueError("the frame ends before its end marker")
        if too_many_scans(frame):
            raise ValueError("too many scans")
    if (found.width, found.height, found.components) != (columns, rows, samples):
        raise ValueError("the frame's size is not the header's")
    if found.precision > 16:
        raise ValueError("more than 16 bits per sample")


# What pydicom asks of a plugin (its guide "Pixel Data Decoder Plugins"): the two names below and a
# function that decodes one frame.
DECODER_DEPENDENCIES = {
    UID(syntax): ("numpy", "imagecodecs") for syntax, name in PLUGINS.items() if name == _OURS
}


def is_available(uid: str) -> bool:
    """Whether this plugin decodes the transfer syntax: imagecodecs is always installed."""
    return uid in DECODER_DEPENDENCIES


def _decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """One frame as the bytes that pydicom expects: little-endian, `bits_allocated` wide."""
    # Late: the package takes a moment to load and most uploads do not need it.
    import imagecodecs

    width = runner.bits_allocated // 8
    dtype = np.dtype(f"<u{width}")
    count = runner.rows * runner.columns * runner.samples_per_pixel
    if runner.transfer_syntax == RLELossless:
        runner.set_option("planar_configuration", 1)
        # The size bounds what a few bytes may unpack to.
        planes = imagecodecs.dicomrle_decode(src, dtype, out=count * width)
        if len(planes) != count * width:
            raise ValueError("the frame is shorter than its header says")
        return bytearray(planes)
    if jpeg_header(src).precision > runner.bits_allocated:
        raise ValueError("the frame's samples are wider than the header's")
    # One colour space in and out: pydicom turns YBR into RGB as the header says.
    same = "RGB" if runner.samples_per_pixel == 3 else None
    runner.set_option("planar_configuration", 0)
    decoded = imagecodecs.jpeg8_decode(src, colorspace=same, outcolorspace=same)
    return bytearray(decoded.astype(dtype, copy=False).tobytes())


for _syntax in DECODER_DEPENDENCIES:
    get_decoder(_syntax).add_plugin(_OURS, (__name__, "_decode_frame"))
