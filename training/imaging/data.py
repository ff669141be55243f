"""Reads the image sets (`images/*` and `labels.csv` in a zip, MedMNIST npz), split by patient.

Images are uint8 [N, H, W] or [N, H, W, 3] of one size, held in memory: 4,500 of 224 x 224 are
230 MB. The data folder is given by the caller; this module never downloads and never writes.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.context import encode_context
from models.imaging.decode import ImageRejected, decode, luminance
from models.imaging.preprocess import PreprocessSpec, preprocess, to_unit_float
from models.imaging.resize import resized
from models.imaging.retina import cut_disc
from models.imaging.stress import apply_stress
from training.imaging.config import ImagingConfig
from training.imaging.errors import CannotTrain

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """images uint8 [N, H, W] or [N, H, W, 3]; labels int64 [N, heads], -1 where not known.

    groups: patient per image; context float32 [N, K], see models/imaging/context.py; columns:
    the other columns of labels.csv.
    """

    images: Images
    labels: Labels
    groups: tuple[str, ...]
    context: Floats
    columns: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def first(self) -> Labels:
        """Labels [N] of the first head."""
        labels: Labels = self.labels[:, 0]
        return labels

    def take(self, index: Labels) -> LabelledImages:
        """The rows of `index`, in its order."""
        return LabelledImages(
            self.images[index],
            self.labels[index],
            tuple(self.groups[i] for i in index),
            self.context[index],
            {name: tuple(values[i] for i in index) for name, values in self.columns.items()},
            tuple(self.files[i] for i in index),
        )


def read_set(
    path: Path, config: ImagingConfig, *, part: str = "train", limit: int | None = None
) -> LabelledImages:
    """Every image of a zip or of the `part` of a MedMNIST npz; `limit` takes an even stride.

    Raises CannotTrain for a label that the config doesn't name, for a set without rows or without
    the column that tells its patients apart.
    """
    if path.suffix == ".npz":
        rows, images = _read_npz(path, part)
        if config.preprocessing.channels == 1 and images.ndim == 4:
            images = np.stack([np.rint(luminance(i) * 255.0).astype(np.uint8) for i in images])
    else:
        rows, images = _read_zip(path, config, limit)
    if not rows:
        raise CannotTrain(f"{path.name}: no images")
    columns = {name: tuple(row[name] for row in rows) for name in rows[0]}
    labels = np.stack([_labels(path, columns, head.column, head.column_values, head.research_only)
                       for head in config.heads], axis=1)  # fmt: skip
    return LabelledImages(
        images,
        labels,
        _groups(path, columns, config.data.group),
        np.stack([encode_context(row.get("age"), row.get("sex"), row.get("localization"))
                  for row in rows]),
        columns,
        columns["file"],
    )  # fmt: skip


def _groups(
    path: Path, columns: Mapping[str, tuple[str, ...]], group: str | None
) -> tuple[str, ...]:
    """The patient of each row, by the column `group`; every image its own where there is none."""
    if group is None:
        return columns["file"]
    if group not in columns:
        raise CannotTrain(f"{path.name}: labels.csv has no column {group} to keep patients apart")
    if not all(columns[group]):
        raise CannotTrain(f"{path.name}: rows without a {group} cannot be kept apart")
    return columns[group]


def _labels(
    path: Path, columns: Mapping[str, tuple[str, ...]], column: str, known: tuple[str, ...],
    partial: bool,
) -> Labels:  # fmt: skip
    if column not in columns:
        raise CannotTrain(f"{path.name}: labels.csv has no column {column}")
    unknown = set(columns[column]) - set(known)
    if unknown and not partial:
        raise CannotTrain(f"{path.name}: labels {sorted(unknown)} are not among {known}")
    return np.array([known.index(v) if v in known else -1 for v in columns[column]], dtype=np.int64)


def _read_npz(path: Path, part: str) -> tuple[list[dict[str, str]], Images]:
    with np.load(path, allow_pickle=False) as arrays:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    rows = [{"file": f"{part} {i}", "label": str(int(v))} for i, v in enumerate(labels[:, 0])]
    return rows, images


def _read_zip(
    path: Path, config: ImagingConfig, limit: int | None
) -> tuple[list[dict[str, str]], Images]:
    with zipfile.ZipFile(path) as archive:
        with archive.open("labels.csv") as handle:
            rows = list(csv.DictReader(io.TextIOWrapper(handle, encoding="utf-8")))
        if limit is not None and len(rows) > limit:
            rows = [rows[i] for i in np.linspace(0, len(rows) - 1, limit).astype(int)]
        images = [_read_image(archive, f"images/{row['file']}", config) for row in rows]
    return rows, np.stack(_one_size(images)) if images else np.empty(0, dtype=np.uint8)


def _one_size(images: list[Images]) -> list[Images]:
    """All as large as most are: a patch cut off at the edge of a scan is squashed like in use."""
    shape = Counter(image.shape for image in images).most_common(1)[0][0]
    size = (shape[1], shape[0])
    return [
        image if image.shape == shape
        else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        for image in images
    ]  # fmt: skip


def _read_image(archive: zipfile.ZipFile, name: str, config: ImagingConfig) -> Images:
    """Decoded as in serving: 16-bit files and turned photographs come out the same in both."""
    try:
        decoded = decode(archive.read(name))
    except ImageRejected as error:
        raise CannotTrain(f"{name}: {error}") from error
    grey: Images = np.rint(decoded.pixels * 255.0).astype(np.uint8)
    if config.preprocessing.channels == 1:
        return grey
    pixels = decoded.rgb if decoded.rgb is not None else np.repeat(grey[..., None], 3, axis=2)
    if config.preprocessing.mode != "retina":
        return pixels
    # The disc is cut out once, a little larger than the network sees it.
    square = resized(cut_disc(to_unit_float(pixels)), config.optimisation.working_size)
    whole: Images = np.rint(square * 255.0).astype(np.uint8)
    return whole


def working_copies(images: Images, size: int) -> Images:
    """The images no larger than `size`, in which augmentation works; aspect ratio kept."""
    height, width = images.shape[1:3]
    factor = size / min(height, width)
    if factor >= 1:
        return images
    target = (round(width * factor), round(height * factor))
    copies = [Image.fromarray(i).resize(target, Image.Resampling.BILINEAR) for i in images]
    return np.stack([np.asarray(image, dtype=np.uint8) for image in copies])


def split_by_group(
    labels: Labels, groups: tuple[str, ...], fraction: float, seed: int
) -> tuple[Labels, Labels]:
    """(train, held-out) row numbers; no group is on both sides; `fraction` of each class's groups.

    A group counts for the class of its first row.
    """
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    for members in _groups_by_class(labels, groups):
        count = max(1, round(len(members) * fraction))
        held.update(members[i] for i in rng.permutation(len(members))[:count])
    is_held = np.array([group in held for group in groups])
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def folds_by_group(labels: Labels, groups: tuple[str, ...], count: int, seed: int) -> Labels:
    """The fold [N] of every row: groups stay whole, classes are spread evenly."""
    rng = np.random.default_rng(seed)
    fold: dict[str, int] = {}
    start = 0
    for members in _groups_by_class(labels, groups):
        for place, i in enumerate(rng.permutation(len(members))):
            fold[members[i]] = (start + place) % count
        start += len(members)
    return np.array([fold[group] for group in groups], dtype=np.int64)


def _groups_by_class(labels: Labels, groups: tuple[str, ...]) -> list[list[str]]:
    first: dict[str, int] = {}
    for row, group in enumerate(groups):
        first.setdefault(group, row)
    return [
        sorted(group for group, row in first.items() if labels[row] == label)
        for label in np.unique(labels)
    ]


def preprocess_all(images: Images, spec: PreprocessSpec, stress: str | None = None) -> Floats:
    """Model inputs [N, C, S, S], optionally of the images under a named stress transform."""
    rows = []
    for seed, image in enumerate(images):
        seen = image if stress is None else apply_stress(stress, image, seed)
        rows.append(preprocess(seen, spec))
    return np.stack(rows)
