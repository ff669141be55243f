"""WADO-RS (PS3.18 10.4): instances, their metadata, frames and pictures of what is held.

What is held is de-identified, uncompressed and in Explicit VR Little Endian, so that is the one
transfer syntax in which it is given.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import pydicom
from pydicom.uid import ExplicitVRLittleEndian

from models.imaging.decode import DecodeLimits, decode_numbered
from models.imaging.picture import drawn
from serving.dicomweb.accept import ANY, wanted
from serving.dicomweb.elements import DataSet, element, finite, instance_url
from serving.errors import FieldError, InvalidInput, NotAcceptable, NotFound
from serving.storage.instances import InstanceHeader

OCTETS = "application/octet-stream"
PICTURES = ("image/jpeg", "image/png")
"""What a rendered picture can be; JPEG where the caller does not care (PS3.18 8.7.4)."""
SYNTAX = str(ExplicitVRLittleEndian)
MAX_SIDE = 4096
_QUALITY = 90
_NUMBER = re.compile(r"[0-9]{1,9}")
_VIEWPORT = re.compile(r"([0-9]{1,5}),([0-9]{1,5})")


@dataclass(frozen=True)
class Rendering:
    """How a picture is drawn. quality: of a JPEG, 1 to 100. viewport: largest width and height."""

    media_type: str
    quality: int = _QUALITY
    viewport: tuple[int, int] = (MAX_SIDE, MAX_SIDE)


def read_rendering(media_type: str, parameters: Iterable[tuple[str, str]]) -> Rendering:
    """How a picture is to be drawn, by a request's query parameters. Raises InvalidInput."""
    how = Rendering(media_type)
    for name, value in parameters:
        if name == "quality":
            if not (_NUMBER.fullmatch(value) and 1 <= int(value) <= 100):
                raise InvalidInput(errors=[FieldError("/quality", "1 to 100")])
            how = replace(how, quality=int(value))
        elif name == "viewport":
            size = _VIEWPORT.fullmatch(value)
            if size is None or not all(1 <= int(side) <= MAX_SIDE for side in size.groups()):
                why = f"width,height, each 1 to {MAX_SIDE}"
                raise InvalidInput(errors=[FieldError("/viewport", why)])
            how = replace(how, viewport=(int(size[1]), int(size[2])))
        else:
            raise InvalidInput("a picture takes the parameters quality and viewport")
    return how


def part_form(accept: str, media_type: str) -> Literal["multipart", "single"]:
    """Whether parts of that type are given in multipart/related, or the only one by itself.

    Raises NotAcceptable where the caller takes neither, or another transfer syntax only.
    """
    for one in wanted(accept):
        if one.takes(media_type) and one.transfer_syntax in (None, ANY, SYNTAX):
            return "multipart" if one.multipart or one.media_type == "*/*" else "single"
    raise NotAcceptable(f"here is {media_type} in Explicit VR Little Endian")


def metadata(data: bytes, header: InstanceHeader, base: str) -> DataSet:
    """An instance's header as DICOM JSON; its pixels by reference to its frames."""
    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    url = instance_url(base, header.study_uid, header.series_uid, header.sop_uid)
    frames = ",".join(str(number + 1) for number in range(header.frames))
    found: DataSet = {tag: finite(one) for tag, one in dataset.to_json_dict().items()}
    found["00081190"] = element("UR", url)
    found["7FE00010"] = {
        "vr": "OW" if header.bits_allocated > 8 else "OB",
        "BulkDataURI": f"{url}/frames/{frames}",
    }
    return dict(sorted(found.items()))


def frame_bytes(data: bytes, header: InstanceHeader, numbers: list[int]) -> list[bytes]:
    """The stored cells of frames counted from 1, little-endian. Raises NotFound."""
    if not all(1 <= number <= header.frames for number in numbers):
        raise NotFound("no such frame")
    dataset = pydicom.dcmread(io.BytesIO(data))
    cells = header.rows * header.columns * int(dataset.SamplesPerPixel)
    size = cells * header.bits_allocated // 8
    pixels: bytes = dataset.PixelData
    return [pixels[(number - 1) * size : number * size] for number in numbers]


def render(data: bytes, number: int, limits: DecodeLimits, how: Rendering) -> bytes:
    """A frame, counted from 1, as people see it: windowed, bright as on a film."""
    picture = drawn(next(decode_numbered(data, limits, [number - 1])))
    picture.thumbnail(how.viewport)
    buffer = io.BytesIO()
    if how.media_type == "image/png":
        picture.save(buffer, format="PNG")
    else:
        picture.save(buffer, format="JPEG", quality=how.quality)
    return buffer.getvalue()


def frame_numbers(text: str) -> list[int]:
    """The frames of a path, `1,3,4`. Raises InvalidInput."""
    words = text.split(",")
    if len(words) > 100 or not all(_NUMBER.fullmatch(word) for word in words):
        raise InvalidInput("frames are up to 100 numbers with commas between them")
    return [int(word) for word in words]
