"""Reads the image sets (`images/*` and `labels.csv` in a zip) and splits them by patient.

Images are grey uint8 [N, H, W] of one size, held in memory: 4,500 of 224 x 224 are 230 MB. The
data folder is given by the caller; this module never downloads and never writes.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.preprocess import PreprocessSpec, preprocess
from models.imaging.stress import apply_stress


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """images uint8 [N, H, W]; labels int64 [N]; groups: patient id per image; files: names."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: npt.NDArray[np.int64]) -> LabelledImages:
        """The rows of `index`, in its order."""
        return LabelledImages(
            self.images[index],
            self.labels[index],
            tuple(self.groups[i] for i in index),
            tuple(self.kinds[i] for i in index),
            tuple(self.files[i] for i in index),
        )


def read_zip(path: Path, classes: tuple[str, ...], *, limit: int | None = None) -> LabelledImages:
    """Every image of the set; `limit` takes an even stride through it (smoke runs).

    Raises ValueError for a label that is not one of `classes` or images of different sizes.
    """
    with zipfile.ZipFile(path) as archive:
        with archive.open("labels.csv") as handle:
            rows = list(csv.DictReader(io.TextIOWrapper(handle, encoding="utf-8")))
        if limit is not None and len(rows) > limit:
            rows = [rows[i] for i in np.linspace(0, len(rows) - 1, limit).astype(int)]
        unknown = {row["label"] for row in rows} - set(classes)
        if unknown:
            raise ValueError(f"{path.name}: labels {sorted(unknown)} are not among {classes}")
        images = [_read_grey(archive, f"images/{row['file']}") for row in rows]
    if len({image.shape for image in images}) != 1:
        raise ValueError(f"{path.name}: images of different sizes")
    return LabelledImages(
        np.stack(images),
        np.array([classes.index(row["label"]) for row in rows], dtype=np.int64),
        tuple(row.get("patient") or row["file"] for row in rows),
        tuple(row.get("kind") or row["label"] for row in rows),
        tuple(row["file"] for row in rows),
    )


def _read_grey(archive: zipfile.ZipFile, name: str) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(archive.read(name))) as image:
        return np.asarray(image.convert("L"), dtype=np.uint8)


def split_by_group(
    labels: npt.NDArray[np.int64], groups: tuple[str, ...], fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(train, held-out) row numbers; no group is on both sides; `fraction` of each class's groups.

    A group counts for the class of its first row.
    """
    rng = np.random.default_rng(seed)
    first: dict[str, int] = {}
    for row, group in enumerate(groups):
        first.setdefault(group, row)
    held: set[str] = set()
    for label in np.unique(labels):
        members = sorted(group for group, row in first.items() if labels[row] == label)
        count = max(1, round(len(members) * fraction))
        held.update(members[i] for i in rng.permutation(len(members))[:count])
    is_held = np.array([group in held for group in groups])
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def preprocess_all(
    images: npt.NDArray[np.uint8], spec: PreprocessSpec, stress: str | None = None
) -> npt.NDArray[np.float32]:
    """Model inputs [N, 1, S, S], optionally of the images under a named stress transform."""
    rows = []
    for seed, image in enumerate(images):
        seen = image if stress is None else apply_stress(stress, image, seed)
        rows.append(preprocess(seen, spec))
    return np.stack(rows)
