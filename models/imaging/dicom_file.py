"""Bytes of a DICOM file -> an image object whose header has been checked, and its stored values.

Only the elements named in `dicom_elements.yaml` are read at all: whatever else a file holds (names,
private blocks, nested notes) never becomes an object in memory. Counts, sizes and the transfer
syntax are checked before a pixel is decoded, and the number of reads is bounded, so that a small
file cannot ask for much memory or time. Relies on pydicom for the format itself.
"""

from __future__ import annotations

import io
import itertools
import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from models.imaging.decode import DecodeLimits, ImageRejected, check_pixels
from models.imaging.dicom_codecs import PLUGINS, check_codestream
from models.imaging.dicom_elements import ELEMENTS

# pydicom repeats values that look wrong (a name, an address) in warnings and its log: patient text
# must reach neither.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="pydicom")

# An element costs two or three reads; an enhanced CT of 500 frames has about 20,000 elements.
_MAX_READS = 200_000
# The header's sequences are parsed when they are looked at: this bounds what that can cost.
_MAX_SEQUENCE_BYTES = 1024 * 1024

_MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_FLOATING = ("FloatPixelData", "DoubleFloatPixelData")
_PIXELS = frozenset(Tag(keyword) for keyword in ("PixelData", *_FLOATING))


@dataclass(frozen=True, slots=True)
class ImageObject:
    """A DICOM image whose header is consistent. `dataset` holds only the elements that are read.

    photometric: PhotometricInterpretation, the likeliest where the file says none.
    shift: how far the stored values lie above the lowest bit (HighBit of old equipment).
    """

    dataset: Dataset
    transfer_syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    signed: bool
    shift: int


def is_dicom(data: bytes) -> bool:
    """A Part 10 file: the prefix after 128 bytes, or file meta information without the preamble."""
    return data[128:132] == b"DICM" or _without_preamble(data)


def read_image(data: bytes, limits: DecodeLimits) -> ImageObject:
    """The image object in `data`; raises ImageRejected. No pixel has been decoded yet."""
    if len(data) > limits.max_bytes:
        raise ImageRejected("too_large", f"{len(data)} bytes; at most {limits.max_bytes}")
    if not is_dicom(data):
        raise ImageRejected("not_an_image", "the content is not DICOM")
    try:
        dataset = _read(data)
        return _checked(dataset, limits)
    except ImageRejected:
        raise
    except Exception as error:
        # pydicom parses elements when they are looked at and raises many types on hostile input.
        raise ImageRejected("truncated", "the DICOM file is damaged or cut off") from error


def stored_frames(image: ImageObject, numbers: Sequence[int]) -> Iterator[npt.NDArray[np.generic]]:
    """Frames as stored, counted from 0: [rows, columns] or, as RGB, [rows, columns, 3].

    Unused bits are cleared, YBR is turned into RGB. Raises ImageRejected.
    """
    plugin = PLUGINS[image.transfer_syntax]
    try:
        if plugin:
            _check_codestreams(image, frozenset(numbers))
        decoded = get_decoder(UID(image.transfer_syntax)).iter_array(
            image.dataset, indices=numbers, decoding_plugin=plugin
        )
        for frame, _ in decoded:
            yield frame >> image.shift if image.shift else frame
    except ImageRejected:
        raise
    except Exception as error:
        raise ImageRejected("truncated", "the pixels are damaged or cut off") from error


class _MeteredFile(io.BytesIO):
    """A file in memory that refuses to be read in more than `_MAX_READS` pieces."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise ImageRejected("too_large", "the header holds too many elements")
        return super().read(size)


def _without_preamble(data: bytes) -> bool:
    # (0002,0000) UL, the first element of every file meta information (PS3.10, 7.1).
    return data[:6] == b"\x02\0\0\0UL"


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:  # noqa: ARG001
    return bool(tag.group != 2)


def _read(data: bytes) -> Dataset:
    meta_at = 0 if _without_preamble(data) else 132
    file = _MeteredFile(data)
    file.seek(meta_at)
    # The syntax first: a deflated data set would be inflated while it is read, whatever its size.
    meta = read_dataset(file, False, True, stop_when=_after_meta)
    syntax = meta.get("TransferSyntaxUID")
    if syntax is None:
        # Meta information without a syntax, or none at all: nothing says how to read the rest.
        raise ImageRejected("truncated", "the DICOM file names no transfer syntax")
    if syntax not in PLUGINS:
        # The name of an unknown UID is text of the file's own: never repeated.
        known = isinstance(syntax, UID) and syntax.is_transfer_syntax and not syntax.is_private
        raise ImageRejected(
            "unsupported_format",
            f"transfer syntax {syntax.name if known else 'unknown'} is not read",
        )
    file = _MeteredFile(data)
    dataset = pydicom.dcmread(file, force=meta_at == 0, specific_tags=list(ELEMENTS))
    for tag in list(dataset.keys()):
        value = dataset.get_item(tag).value
        if isinstance(value, bytes) and len(value) > _MAX_SEQUENCE_BYTES and tag not in _PIXELS:
            del dataset[tag]
    return dataset


def _checked(dataset: Dataset, limits: DecodeLimits) -> ImageObject:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if any(keyword in dataset for keyword in _FLOATING):
        raise ImageRejected("unsupported_format", "floating-point pixels are not read")
    if not dataset.get("PixelData"):
        raise ImageRejected("no_pixel_data", "the DICOM object holds no image")
    frames = _integer(dataset, "NumberOfFrames", 1) or 1
    samples = _integer(dataset, "SamplesPerPixel", 1)
    rows, columns = _integer(dataset, "Rows", 0), _integer(dataset, "Columns", 0)
    if frames < 0:
        raise ImageRejected("truncated", "NumberOfFrames is negative")
    check_pixels(columns, rows, frames, limits)
    allocated = _integer(dataset, "BitsAllocated", 8)
    if allocated not in (1, 8, 16):
        raise ImageRejected("unsupported_format", f"{allocated} bits per sample are not read")
    stored = _integer(dataset, "BitsStored", allocated)
    high = _integer(dataset, "HighBit", stored - 1)
    if not 1 <= stored <= allocated:
        raise ImageRejected("truncated", "BitsStored does not fit BitsAllocated")
    native = not PLUGINS[syntax]
    shift = high + 1 - stored if native and stored - 1 < high < allocated else 0
    photometric = _photometric(dataset, samples, native)
    signed = _integer(dataset, "PixelRepresentation", 0) == 1
    if signed and photometric not in _MONOCHROME:
        raise ImageRejected("unsupported_format", "signed colours are not read")
    # What pydicom decodes by: the values as judged here.
    dataset.NumberOfFrames, dataset.SamplesPerPixel = frames, samples
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored = allocated, stored + shift
    dataset.PixelRepresentation = int(signed)
    if samples == 3:
        dataset.PlanarConfiguration = _integer(dataset, "PlanarConfiguration", 0)
    return ImageObject(
        dataset,
        syntax,
        rows,
        columns,
        frames,
        samples,
        photometric,
        allocated,
        stored,
        signed,
        shift,
    )


def _photometric(dataset: Dataset, samples: int, native: bool) -> str:
    stated = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if not stated and samples in (1, 3):
        # A compressed colour picture is YBR unless it says otherwise (PS3.5, 8.2.1).
        return "MONOCHROME2" if samples == 1 else "RGB" if native else "YBR_FULL"
    expected = {1: _MONOCHROME | {"PALETTE COLOR"}, 3: _COLOUR}.get(samples, frozenset())
    if stated not in expected:
        raise ImageRejected("unsupported_format", "this photometric interpretation is not read")
    return stated


def _check_codestreams(image: ImageObject, numbers: Collection[int]) -> None:
    frames = generate_frames(image.dataset.PixelData, number_of_frames=image.frames)
    for number, frame in enumerate(itertools.islice(frames, max(numbers) + 1)):
        if number not in numbers:
            continue
        check_codestream(frame, image.transfer_syntax, image.rows, image.columns, image.samples)


def _integer(dataset: Dataset, keyword: str, default: int) -> int:
    try:
        value = dataset.get(keyword)
        return int(value) if value not in (None, "") else default
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageRejected("truncated", f"{keyword} is not a number") from error
