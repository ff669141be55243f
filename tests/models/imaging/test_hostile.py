"""Files made to break a reader: each is refused in words, quickly, in little memory.

And whatever bytes come in: only `ImageRejected` comes out, or a picture of finite greys in 0..1.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from models.imaging.decode import DecodeLimits, ImageRejected, decode, decode_frames
from models.imaging.deidentify import deidentify
from tests.models.imaging.files import (
    compressed_dicom,
    dataset_of,
    dicom_bytes,
    encoded,
    gradient,
    noise,
    png_chunk,
    png_of,
    saved,
)

KEY = bytes(range(32))
LIMITS = DecodeLimits(max_bytes=4_000_000, max_pixels=1_000_000)
MEGABYTE = 1 << 20


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """One element, explicit VR little endian."""
    tag = struct.pack("<HH", group, number) + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return tag + b"\0\0" + struct.pack("<L", len(value)) + value
    return tag + struct.pack("<H", len(value)) + value


def appended(*elements: bytes) -> bytes:
    """A valid image with these elements spliced in before its pixels."""
    data = dicom_bytes(gradient())
    at = data.index(b"\xe0\x7f\x10\x00")
    return data[:at] + b"".join(elements) + data[at:]


def header(*elements: bytes) -> bytes:
    """A DICOM file of these elements alone."""
    data = dicom_bytes(gradient())
    return data[: data.index(b"\x08\x00\x16\x00")] + b"".join(elements)


def without_pixels(**tags: object) -> bytes:
    dataset = dataset_of(gradient(), **tags)
    del dataset.PixelData
    return saved(dataset)


def floating() -> bytes:
    dataset = dataset_of(gradient(), BitsAllocated=32, BitsStored=32, HighBit=31)
    del dataset.PixelData
    dataset.FloatPixelData = gradient().astype("<f4").tobytes()
    return saved(dataset)


def wide(bits: int) -> bytes:
    dataset = dataset_of(gradient(), BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    dataset.PixelData = gradient().astype(f"<u{bits // 8}").tobytes()
    return saved(dataset)


def pdf() -> bytes:
    document = Dataset()
    document.update(pydicom.dcmread(io.BytesIO(without_pixels())))
    document.file_meta = pydicom.dcmread(io.BytesIO(without_pixels())).file_meta
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    document.EncapsulatedDocument = b"%PDF-1.4 Zhang San"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    return saved(document)


def bad_huffman() -> bytes:
    data = bytearray(encoded(Image.fromarray(noise()), "JPEG"))
    at = data.index(b"\xff\xc4")
    data[at + 5 : at + 21] = b"\xff" * 16
    return bytes(data)


def many_scans() -> bytes:
    data = encoded(Image.fromarray(noise(64, 64)), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * 200 + data[-2:]


def nested(depth: int) -> bytes:
    opened = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return opened * depth + closed * depth


def claims(**tags: int) -> bytes:
    return saved(dataset_of(gradient(), **tags))


def zeros(size: int) -> bytes:
    """`size` zeros, deflated to a thousandth."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE)]
    return b"".join(parts) + packer.flush()


def apng() -> bytes:
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


CORPUS: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "not_an_image"),
    "one byte": (b"\x89", "not_an_image"),
    "a PNG by its first bytes only": (b"\x89PNG\r\n\x1a\n" + b"hello" * 20, "truncated"),
    "a JPEG by its first bytes only": (b"\xff\xd8\xff\xe0" + b"hello" * 20, "truncated"),
    "a DICOM by its prefix only": (bytes(128) + b"DICM" + b"hello" * 20, "truncated"),
    "a PDF": (b"%PDF-1.4 Zhang San", "unsupported_format"),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
    "a web page": (b"<!doctype html><script>alert(1)</script>", "not_an_image"),
    "a zip": (b"PK\x03\x04" + bytes(60), "not_an_image"),
    "an animation": (apng(), "animated"),
    "inks": (encoded(Image.new("CMYK", (20, 20)), "JPEG"), "unsupported_format"),
    "16 bits with alpha": (
        png_of(png_chunk(b"IDAT", zlib.compress(bytes(40 * 321))), kind=(16, 6)),
        "unsupported_format",
    ),
    "a huge PNG header": (png_of(width=2**31 - 1, height=2**31 - 1), "too_large"),
    "a PNG without a width": (png_of(width=0), "truncated"),
    "a PNG without pixels": (png_of(), "truncated"),
    "a PNG bomb": (png_of(png_chunk(b"IDAT", zeros(1)), width=20_000, height=20_000), "too_large"),
    "a JPEG with a bad table": (bad_huffman(), "truncated"),
    "a JPEG of many scans": (many_scans(), "too_large"),
    "a report without pixels": (without_pixels(Modality="SR"), "no_pixel_data"),
    "empty pixels": (claims(PixelData=b""), "no_pixel_data"),  # type: ignore[arg-type]
    "an encapsulated PDF": (pdf(), "no_pixel_data"),
    "floating-point pixels": (floating(), "unsupported_format"),
    "32 bits": (wide(32), "unsupported_format"),
    "64 bits": (wide(64), "unsupported_format"),
    "no bits": (claims(BitsAllocated=0), "unsupported_format"),
    "more bits stored than there are": (claims(BitsStored=12), "truncated"),
    "more rows than pixels": (claims(Rows=1000), "truncated"),
    "more frames than pixels": (claims(NumberOfFrames=100), "truncated"),
    "a billion frames": (claims(NumberOfFrames=2**31 - 1), "too_large"),
    "less than no frames": (claims(NumberOfFrames=-4), "truncated"),
    "no rows": (claims(Rows=0), "no_pixel_data"),
    "a kind of colour that nobody knows": (
        saved(dataset_of(gradient(), PhotometricInterpretation="ZHANG")),
        "unsupported_format",
    ),
    "signed colours": (
        saved(dataset_of(np.zeros((8, 8, 3), dtype=np.int8))),
        "unsupported_format",
    ),
    "sequences a thousand deep": (appended(nested(1000)), "truncated"),
    "a length without end": (
        appended(b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff"),
        "truncated",
    ),
    "a length beyond the file": (
        header(struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFF0) + bytes(100)),
        "no_pixel_data",
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_broken_file_is_refused_in_words(name: str) -> None:
    data, code = CORPUS[name]
    for read in (decode, decode_frames):
        with pytest.raises(ImageRejected) as refused:
            read(data, LIMITS)
        assert refused.value.code == code
        assert "Zhang" not in refused.value.message
    with pytest.raises(ImageRejected):
        deidentify(data, KEY, LIMITS)


@pytest.mark.parametrize("kind", ["png", "jpeg", "dicom", "compressed dicom"])
def test_a_file_cut_off_anywhere_is_refused(kind: str) -> None:
    picture = Image.fromarray(noise())
    data = {
        "png": encoded(picture, "PNG"),
        "jpeg": encoded(picture, "JPEG"),
        "dicom": dicom_bytes(noise()),
        "compressed dicom": compressed_dicom(noise(top=65536), JPEGLosslessSV1),
    }[kind]
    # A PNG's last chunk holds nothing, and a JPEG's end marker is its last two bytes.
    last = len(data) - {"png": 30, "jpeg": 40}.get(kind, 12)
    for end in np.linspace(0, last, 40).astype(int):
        with pytest.raises(ImageRejected):
            decode(data[:end])


def outcome(data: bytes) -> str:
    try:
        decode(data)
    except ImageRejected as refused:
        return refused.code
    return "read"


def bomb_of_notes(kind: bytes) -> bytes:
    head = {b"iCCP": b"p\0\0", b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0"}[kind]
    picture = png_chunk(b"IDAT", zlib.compress(bytes(41 * 40)))
    return png_of(png_chunk(kind, head + zeros(200 * MEGABYTE)), picture)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_note_that_unpacks_to_200_megabytes_takes_little(kind: bytes) -> None:
    data = bomb_of_notes(kind)
    assert len(data) < MEGABYTE
    tracemalloc.start()
    try:
        code = outcome(data)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert code in ("read", "too_large")
    assert peak < 16 * MEGABYTE


# Memory of C code is not traced, so these are read in a process of its own, with little to take.
BOMBS = {
    # IDAT unpacks to far more than the header's rows: the decoder must stop at the last row.
    "pixels": lambda: png_of(png_chunk(b"IDAT", zeros(500 * MEGABYTE))),
    "RLE": lambda: rle_bomb(),
    "many elements": lambda: appended(element(0x0009, 0x1001, b"LO", b"") * 400_000),
    "a sequence of many elements": lambda: appended(element(0x0028, 0x3010, b"SQ", items(120_000))),
    "a huge note": lambda: appended(element(0x0009, 0x1001, b"UN", bytes(3_000_000))),
}


def items(count: int) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, 0) * count


def rle_bomb() -> bytes:
    data = compressed_dicom(noise(), RLELossless)
    at = data.index(struct.pack("<LL", 1, 64))
    segment = b"\x81\x00" * 1_500_000
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + segment
    return (
        data[: at - 8]
        + struct.pack("<HHL", 0xFFFE, 0xE000, len(frame))
        + frame
        + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    )


_READ = """
import resource, sys, time
from models.imaging.decode import DecodeLimits, ImageRejected, decode, decode_frames
import models.imaging.dicom, models.imaging.raster, imagecodecs._imcd, PIL.PngImagePlugin
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    decode_frames(data, DecodeLimits(max_bytes=8_000_000, max_pixels=1_000_000))
    print("read")
except ImageRejected as refused:
    print(refused.code)
after = resource.getrusage(resource.RUSAGE_SELF)
print((after.ru_maxrss - before.ru_maxrss) // 1024, after.ru_utime - before.ru_utime)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_cannot_ask_for_much(name: str) -> None:
    data = BOMBS[name]()
    assert len(data) < 8_000_000
    result = subprocess.run(
        [sys.executable, "-c", _READ], input=data, capture_output=True, timeout=120, check=True
    )
    outcome, numbers = result.stdout.decode().splitlines()
    megabytes, seconds = map(float, numbers.split())
    assert outcome in ("read", "too_large", "truncated")
    assert megabytes < 150
    assert seconds < 10


def valid_files() -> list[bytes]:
    small = noise(24, 24)
    picture = Image.fromarray(small)
    rgb = Image.fromarray(np.stack([small] * 3, axis=-1))
    exif = Image.Exif()
    exif[0x0112] = 6
    window = {"WindowCenter": 100, "WindowWidth": 50, "RescaleSlope": 2, "RescaleIntercept": -9}
    return [
        encoded(picture, "PNG"),
        encoded(rgb.convert("P"), "PNG"),
        encoded(rgb, "JPEG", exif=exif),
        encoded(picture, "JPEG", progressive=True),
        dicom_bytes(small.astype(np.uint16), **window, PixelPaddingValue=3),
        dicom_bytes(np.stack([small, small]), frames=2),
        *(
            compressed_dicom(small, syntax)
            for syntax in (
                JPEGBaseline8Bit,
                JPEGLosslessSV1,
                JPEGLSLossless,
                JPEG2000Lossless,
                RLELossless,
            )
        ),
    ]


def check(data: bytes) -> bool:
    """Whether it was read; fails unless it is read well or refused, in good time."""
    began = time.process_time()
    try:
        images = decode_frames(data, LIMITS)
    except ImageRejected:
        return False
    finally:
        assert time.process_time() - began < 5
    for image in images:
        assert image.pixels.dtype == np.float32
        assert image.pixels.ndim == 2
        assert np.isfinite(image.pixels).all()
        assert image.pixels.min() >= 0.0
        assert image.pixels.max() <= 1.0
        assert image.rgb is None or image.rgb.shape == (*image.pixels.shape, 3)
    if images[0].source_format == "dicom":
        try:
            kept = deidentify(data, KEY, LIMITS)
        except ImageRejected:
            return True  # a frame beyond those decoded may be broken
        assert decode_frames(kept.data, LIMITS)[0].pixels.shape == images[0].pixels.shape
    return True


FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@FUZZ
@given(st.binary(max_size=600), st.sampled_from([0, 1, 2, 3]))
def test_arbitrary_bytes_are_refused_or_read(data: bytes, kind: int) -> None:
    magic = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM"][kind]
    check(magic + data)


FILES = valid_files()


@FUZZ
@given(
    st.sampled_from(range(len(FILES))),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
    st.booleans(),
)
def test_mutated_files_are_refused_or_read(
    index: int, changes: list[tuple[float, int]], cut: float, whole: bool
) -> None:
    data = bytearray(FILES[index])
    for place, value in changes:
        data[int(place * len(data))] = value
    check(bytes(data if whole else data[: int(cut * len(data))]))


@FUZZ
@given(st.sampled_from(range(len(FILES))), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_changed_headers_are_refused_or_read(index: int, place: int, value: bytes) -> None:
    data = FILES[index]
    start = 132 if data[128:132] == b"DICM" else 0
    at = start + place
    check(data[:at] + value + data[at + len(value) :])


def test_the_files_that_are_mutated_are_themselves_read() -> None:
    assert all(check(data) for data in FILES)
