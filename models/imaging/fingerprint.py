"""Two numbers by which a picture is found again: the same pixels, and nearly the same picture.

Both are made from decoded pixels, never from a file, so the container (DICOM, PNG, JPEG), its
headers and its compression do not matter where the pixels are the same.
"""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from models.imaging.decode import DecodedImage

# Up to this many of the 64 bits differ between a picture and its copies (other size, compression,
# brightness); pictures of different patients differ in more, but not always: a hint, no proof.
NEARLY_THE_SAME = 4


def fingerprint(image: DecodedImage) -> str:
    """sha256, in hex, of the picture's shape, type and values, as people see it: 8 bits a sample.

    A picture that differs in one sample by one grey level has another fingerprint. The depth beyond
    8 bits is left out, so a 16-bit file and its 8-bit rendering are one picture.
    """
    if image.rgb is None:
        # A touch above one half, so that ties fall alike whatever computed the greys.
        shown = np.floor(image.pixels * np.float32(255.0) + np.float32(0.501)).astype(np.uint8)
    else:
        shown = image.rgb
    digest = hashlib.sha256(f"{shown.dtype} {shown.shape}".encode())
    digest.update(np.ascontiguousarray(shown).data)
    return digest.hexdigest()


def perceptual_hash(image: DecodedImage) -> str:
    """64 bits as 16 hex digits: where each of 8 rows of 9 cells gets brighter to the right (dHash).

    Does not change with brightness or contrast and little with size or compression; does change
    when the picture is turned, mirrored or cropped.
    """
    grey = Image.fromarray(image.pixels).resize((9, 8), Image.Resampling.BOX)
    means = np.asarray(grey)
    brighter = means[:, 1:] > means[:, :-1]
    return np.packbits(brighter).tobytes().hex()


def differing_bits(first: str, second: str) -> int:
    """How many of 64 bits two perceptual hashes differ in; at most `NEARLY_THE_SAME` for a copy."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
