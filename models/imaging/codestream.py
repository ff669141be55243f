"""What a compressed frame (JPEG, JPEG-LS, JPEG 2000) says of itself, without decoding it.

A codec believes the frame and makes room for whatever size that claims, so a reader compares these
few numbers with its own limits first.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

# A progressive JPEG is drawn anew for every scan; honest ones have about ten.
MAX_SCANS = 64
# ISO/IEC 15444-1, A.5.1: a tile's index has 16 bits.
_MAX_TILES = 65_535

_SIZ = struct.Struct(">HHIIIIIIIIH")
# Markers of JPEG (ITU-T T.81, B.1.1.3) that begin a frame, and SOF55 of JPEG-LS (T.87).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a compressed frame says of itself: size in pixels, bits per sample, components."""

    width: int
    height: int
    precision: int
    components: int


def too_many_scans(data: bytes) -> bool:
    """Whether a JPEG has so many scans that decoding it is an attack."""
    return data.count(b"\xff\xda") > MAX_SCANS


def jpeg_header(data: bytes) -> Codestream:
    """The frame header of a JPEG or JPEG-LS stream; raises ValueError without one."""
    if not data.startswith(b"\xff\xd8"):
        raise ValueError("no JPEG stream")
    position = 2
    while True:
        marker = _MARKER.match(data, position)
        if marker is None:
            raise ValueError("no marker where one belongs")
        kind, position = marker[1][0], marker.end()
        if kind in _BARE_MARKERS:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if kind in _FRAME_MARKERS:
            if length < 8 or len(data) < position + 8:
                raise ValueError("the frame header is cut off")
            precision, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
            return Codestream(width, height, precision, components)
        if kind in (0xD9, 0xDA) or length < 2:
            raise ValueError("no frame header")
        position += length


def jpeg_2000_header(data: bytes) -> Codestream:
    """The SIZ segment (ISO/IEC 15444-1, A.5.1) of a bare codestream; raises ValueError."""
    if not data.startswith(b"\xff\x4f\xff\x51") or len(data) < 4 + _SIZ.size + 3:
        raise ValueError("no JPEG 2000 codestream")
    _, _, right, bottom, left, top, tile_width, tile_height, *_, components = _SIZ.unpack_from(
        data, 4
    )
    width, height = right - left, bottom - top
    if min(width, height, tile_width, tile_height) < 1:
        raise ValueError("no pixels or no tiles")
    if -(-right // tile_width) * -(-bottom // tile_height) > _MAX_TILES:
        raise ValueError("too many tiles")
    return Codestream(width, height, (data[4 + _SIZ.size] & 0x7F) + 1, components)
