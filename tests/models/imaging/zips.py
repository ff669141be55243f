"""Pictures of the public image sets, for tests marked `data`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.imaging.decode import DecodedImage, decode


def pictures(path: Path, limit: int) -> Iterator[DecodedImage]:
    """An even stride through a zip of pictures."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("images/") and n[-1] != "/")
        for i in np.linspace(0, len(names) - 1, limit).astype(int):
            yield decode(archive.read(names[i]))
