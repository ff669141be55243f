"""A few images of the four known kinds, to be photographed off screens and films by `phone`.

They come from the training parts of the data sets, under those sets' licences; the two sides of the
split never share a patient or a lesion.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from training.imaging.strangers.canvas import Pixels

Kind = Literal["chest_xray", "fundus", "dermoscopy", "ct_patch"]
# File below the data folder, and the column that names who or what is pictured.
_SETS: dict[Kind, tuple[str, str]] = {
    "chest_xray": ("imaging/cxr_pneumonia.train.zip", "patient"),
    "fundus": ("imaging/fundus_idrid.train.zip", "file"),
    "dermoscopy": ("imaging/skin_ham10000.train.zip", "lesion_id"),
    "ct_patch": ("imaging/ct_nodule.train.zip", "file"),
}
_HELD_OUT_IN = 5  # one group in five is on the held-out side
_LONGEST_SIDE = 448


@dataclass(frozen=True, slots=True)
class MedicalImages:
    """uint8 [H, W, 3] by kind."""

    of: dict[Kind, tuple[Pixels, ...]]

    @classmethod
    def read(cls, data: Path, held_out: bool, *, per_kind: int = 150) -> MedicalImages:
        """An even stride through each set. Raises FileNotFoundError without the data."""
        return cls(
            {
                kind: _read(data / name, column, held_out, per_kind)
                for kind, (name, column) in _SETS.items()
            }
        )

    def draw(self, rng: np.random.Generator, kind: Kind) -> Pixels:
        """One image of the kind."""
        pool = self.of[kind]
        return pool[int(rng.integers(len(pool)))]


def _read(path: Path, column: str, held_out: bool, count: int) -> tuple[Pixels, ...]:
    with zipfile.ZipFile(path) as archive:
        with archive.open("labels.csv") as handle:
            rows = list(csv.DictReader(io.TextIOWrapper(handle, encoding="utf-8")))
        mine = [
            row["file"]
            for row in rows
            if (zlib.crc32(row[column].encode()) % _HELD_OUT_IN == 0) == held_out
        ]
        stride = np.linspace(0, len(mine) - 1, min(count, len(mine))).astype(int)
        images = []
        for index in stride:
            with Image.open(io.BytesIO(archive.read(f"images/{mine[index]}"))) as image:
                picture = image.convert("RGB")
                picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
                images.append(np.asarray(picture))
        return tuple(images)
