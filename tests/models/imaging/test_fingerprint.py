"""The same picture is found again whatever file it came in; another picture is not it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from models.imaging.decode import decode
from models.imaging.fingerprint import (
    NEARLY_THE_SAME,
    differing_bits,
    fingerprint,
    perceptual_hash,
)
from tests.models.imaging.files import dicom_bytes, encoded, gradient, noise

WINDOW = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}


def film(seed: int = 0) -> Image.Image:
    coarse = Image.fromarray(noise(10, 10, seed=seed).astype(np.uint8))
    return coarse.resize((256, 256), Image.Resampling.BICUBIC)


def test_the_container_and_its_headers_do_not_matter() -> None:
    grey = noise().astype(np.uint8)
    prints = {
        fingerprint(decode(encoded(Image.fromarray(grey), "PNG"))),
        fingerprint(decode(encoded(Image.fromarray(grey), "PNG", compress_level=0, dpi=(72, 72)))),
        fingerprint(decode(dicom_bytes(grey, **WINDOW))),
        fingerprint(decode(dicom_bytes(grey, PatientName="Zhang^San", Modality="CR", **WINDOW))),
        fingerprint(decode(encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"))),
    }
    assert len(prints) == 1
    assert len(prints.pop()) == 64


def test_one_pixel_the_shape_and_the_colours_matter() -> None:
    grey = noise().astype(np.uint8)
    changed = grey.copy()
    changed[3, 4] ^= 1
    pictures = [grey, changed, grey.T, grey.reshape(80, 30), np.stack([grey] * 3, axis=-1)]
    tinted = np.stack([grey] * 3, axis=-1)
    tinted[0, 0, 2] ^= 1
    pictures.append(tinted)
    files = [encoded(Image.fromarray(np.ascontiguousarray(p)), "PNG") for p in pictures]
    assert len({fingerprint(decode(file)) for file in files}) == len(files)


def test_a_copy_in_another_size_quality_or_brightness_is_nearly_the_same() -> None:
    original = perceptual_hash(decode(encoded(film(), "PNG")))
    copies = [
        encoded(film(), "JPEG", quality=40),
        encoded(film().resize((700, 700)), "PNG"),
        encoded(film().point(lambda v: v * 0.7 + 20), "PNG"),
    ]
    assert len(original) == 16
    for copy in copies:
        assert differing_bits(original, perceptual_hash(decode(copy))) <= NEARLY_THE_SAME


def test_other_pictures_are_far_apart() -> None:
    hashes = [perceptual_hash(decode(encoded(film(seed), "PNG"))) for seed in range(12)]
    apart = [differing_bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > NEARLY_THE_SAME
    rising, falling = (
        perceptual_hash(decode(encoded(Image.fromarray(np.ascontiguousarray(grey)), "PNG")))
        for grey in (gradient(), gradient()[:, ::-1])
    )
    assert differing_bits(rising, falling) > 32
