"""Uploads: what is read, and what is refused before it can do harm."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from models.imaging.decode import DecodeLimits, ImageRejected, decode, decode_frames
from tests.models.imaging.files import encoded, gradient, noise, png_chunk, png_of


def test_an_eight_bit_png_keeps_its_grey_values() -> None:
    image = decode(encoded(Image.fromarray(gradient()), "PNG"))
    assert image.source_format == "png"
    assert image.colour == 0.0
    np.testing.assert_allclose(image.pixels, gradient() / 255.0, atol=1e-6)


def test_a_sixteen_bit_png_keeps_more_than_eight_bits() -> None:
    deep = np.tile(np.linspace(0, 65535, 1000).astype(np.uint16), (4, 1))
    image = decode(encoded(Image.fromarray(deep), "PNG"))
    assert len(np.unique(image.pixels)) == 1000
    assert image.pixels.max() == pytest.approx(1.0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_its_exif_says(orientation: int) -> None:
    upright = np.zeros((48, 64), dtype=np.uint8)
    upright[:16, :16] = 255  # a mark at the top left
    # What a camera held that way stores: the inverse of what EXIF asks for.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored))
    image = decode(encoded(picture, "JPEG", exif=exif, quality=95))
    np.testing.assert_allclose(image.pixels, upright / 255.0, atol=0.1)


def test_an_exif_block_of_garbage_leaves_the_picture_as_it_is() -> None:
    garbage = b"Exif\0\0" + bytes(range(256)) * 4
    image = decode(encoded(Image.fromarray(gradient()), "JPEG", exif=garbage, quality=95))
    np.testing.assert_allclose(image.pixels, gradient() / 255.0, atol=0.05)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_kind_of_png_shows_the_same_picture(mode: str) -> None:
    grey = Image.fromarray(np.where(gradient() > 127, 255, 0).astype(np.uint8))
    image = decode(encoded(grey.convert("RGB").convert(mode), "PNG"))
    np.testing.assert_allclose(image.pixels, np.asarray(grey) / 255.0, atol=1e-6)
    assert image.colour == 0.0
    assert (image.rgb is not None) == (mode in ("P", "RGB"))


def test_an_interlaced_png_is_read() -> None:
    # Adam7 of 1 x 1: the first pass holds the only pixel, all other passes are empty.
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0\xc8"))
        + png_chunk(b"IEND", b"")
    )
    assert decode(data).pixels == pytest.approx(np.array([[200 / 255.0]]))


def test_sixteen_bits_of_colour_are_read_as_eight() -> None:
    deep = noise(6, 8, top=65536).astype(">u2")
    rows = np.repeat(deep, 3, axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    data = png_of(png_chunk(b"IDAT", zlib.compress(raw)), width=8, height=6, kind=(16, 2))
    image = decode(data)
    assert image.rgb is not None
    np.testing.assert_array_equal(image.rgb[..., 0], deep >> 8)


@pytest.mark.parametrize("colour_type", [4, 6])
def test_sixteen_bits_with_alpha_are_refused(colour_type: int) -> None:
    samples = 2 if colour_type == 4 else 4
    raw = b"".join(b"\0" + bytes(8 * samples * 2) for _ in range(8))
    data = png_of(png_chunk(b"IDAT", zlib.compress(raw)), width=8, height=8, kind=(16, colour_type))
    with pytest.raises(ImageRejected, match="alpha") as refused:
        decode(data)
    assert refused.value.code == "unsupported_format"


def test_a_jpeg_in_colours_keeps_them() -> None:
    rgb = np.zeros((32, 32, 3), dtype=np.uint8)
    rgb[..., 0] = 200
    image = decode(encoded(Image.fromarray(rgb), "JPEG", quality=95))
    assert image.rgb is not None
    np.testing.assert_allclose(image.rgb.mean(axis=(0, 1)), [200, 0, 0], atol=4)


def test_inks_are_refused() -> None:
    with pytest.raises(ImageRejected, match="CMYK") as refused:
        decode(encoded(Image.new("CMYK", (32, 32)), "JPEG"))
    assert refused.value.code == "unsupported_format"


def test_a_twelve_bit_jpeg_outside_dicom_is_refused() -> None:
    data = bytes(imagecodecs.jpeg8_encode(noise(top=4096), bitspersample=12))
    with pytest.raises(ImageRejected, match="12-bit") as refused:
        decode(data)
    assert refused.value.code == "unsupported_format"


def test_transparent_pixels_become_black_and_colour_is_measured() -> None:
    pixels = np.zeros((10, 10, 4), dtype=np.uint8)
    pixels[..., 0] = 255
    pixels[:5, :, 3] = 255
    image = decode(encoded(Image.fromarray(pixels), "PNG"))
    assert image.pixels[7].max() == 0.0
    assert image.colour == pytest.approx(0.5)
    assert "alpha_dropped" in image.warnings


def test_a_huge_png_is_refused_from_its_header() -> None:
    with pytest.raises(ImageRejected) as refused:
        decode(png_of(png_chunk(b"IDAT", b""), width=30_000, height=30_000))
    assert refused.value.code == "too_large"


def test_limits_hold_for_bytes_and_pixels() -> None:
    data = encoded(Image.fromarray(gradient()), "PNG")
    with pytest.raises(ImageRejected, match="bytes") as by_size:
        decode(data, DecodeLimits(max_bytes=10))
    with pytest.raises(ImageRejected, match="pixels") as by_pixels:
        decode(data, DecodeLimits(max_pixels=2399))
    assert by_size.value.code == by_pixels.value.code == "too_large"
    assert decode(data, DecodeLimits(max_pixels=2400)).pixels.shape == (40, 60)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_off_file_is_refused(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 256, (80, 80), dtype=np.uint8)), kind)
    with pytest.raises(ImageRejected) as refused:
        decode(data[: len(data) // 2])
    assert refused.value.code == "truncated"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("PNG", "animated"), ("GIF", "unsupported_format"), ("WEBP", "unsupported_format")],
)
def test_animations_are_refused(kind: str, code: str) -> None:
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageRejected) as refused:
        decode(data)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_an_image"),
        (b"Patient: cough for three days", "not_an_image"),
        (b"\0" * 128 + b"DICM" + b"just some text, no data elements", "truncated"),
        (encoded(Image.fromarray(gradient()), "GIF"), "unsupported_format"),
        (encoded(Image.fromarray(gradient()), "TIFF"), "unsupported_format"),
        (b"\xff\xd8\xff", "truncated"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ImageRejected) as refused:
        decode(data)
    assert refused.value.code == code


def test_the_message_never_repeats_the_content() -> None:
    with pytest.raises(ImageRejected) as refused:
        decode(b"Zhang San, ID 110101")
    assert "Zhang" not in refused.value.message


def test_a_png_and_a_jpeg_are_one_frame() -> None:
    for kind in ("PNG", "JPEG"):
        frames = decode_frames(encoded(Image.fromarray(gradient()), kind))
        assert len(frames) == 1
        assert frames[0].warnings == ()
