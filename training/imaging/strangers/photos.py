"""Real photographs as strangers: random crops, cut-outs on other grounds, and what cameras do.

Reads the folder that `collect` filled; a photograph belongs to the side of the split that its
package's part is on, so no photograph is trained on and measured on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from training.imaging.strangers.canvas import Pixels, blur, colour, fractal, ramp, resize, shape
from training.imaging.strangers.config import Split, StrangersConfig
from training.imaging.strangers.noise import gradient


class NoPhotographs(FileNotFoundError):
    """The folder holds no photographs of this side: `collect` was not run."""


@dataclass(frozen=True, slots=True)
class Photographs:
    """Files by part. Each part is drawn from by the square root of its size: many, not only one."""

    parts: tuple[str, ...]
    files: tuple[tuple[Path, ...], ...]

    @classmethod
    def read(cls, folder: Path, config: StrangersConfig, split: Split) -> Photographs:
        """Raises NoPhotographs."""
        index = folder / "photos.json"
        if not index.exists():
            raise NoPhotographs(f"no {index.name} in {folder}: collect first")
        by_part: dict[str, list[Path]] = {}
        for row in json.loads(index.read_text(encoding="utf-8")):
            if config.photo_split(row["source"]) == split:
                by_part.setdefault(row["source"], []).append(folder / row["file"])
        if not by_part:
            raise NoPhotographs(f"no photographs for {split} in {folder}")
        return cls(tuple(by_part), tuple(tuple(files) for files in by_part.values()))

    def draw(self, rng: np.random.Generator) -> tuple[str, Pixels]:
        """(part, uint8 [H, W, 3]): a crop of an opaque photograph or a cut-out on some ground."""
        part, image = self._pick(rng)
        if image.mode == "RGBA":
            return part, self._compose(rng, image)
        return part, crop(rng, np.asarray(image.convert("RGB")))

    def opaque(self, rng: np.random.Generator) -> Pixels:
        """A crop of a photograph without transparent parts: a ground, a desk, a wall."""
        for _ in range(20):
            _, image = self._pick(rng)
            if image.mode == "RGB":
                return crop(rng, np.asarray(image))
        return gradient(rng)

    def _pick(self, rng: np.random.Generator) -> tuple[str, Image.Image]:
        weights = np.sqrt([len(files) for files in self.files])
        row = int(rng.choice(len(self.files), p=weights / weights.sum()))
        return self.parts[row], _read(self.files[row][int(rng.integers(len(self.files[row])))])

    def _compose(self, rng: np.random.Generator, first: Image.Image) -> Pixels:
        height, width = shape(rng, 200, 360)
        ground = Image.fromarray(_ground(rng, height, width, self))
        cut_outs = [first]
        if rng.random() < 0.25:
            others = [self._pick(rng)[1] for _ in range(int(rng.integers(1, 4)))]
            cut_outs += [other for other in others if other.mode == "RGBA"]
        for cut_out in cut_outs:
            side = rng.uniform(0.35, 1.3) * min(height, width)
            scale = side / max(cut_out.size)
            size = (max(8, int(cut_out.width * scale)), max(8, int(cut_out.height * scale)))
            stamp = cut_out.resize(size, Image.Resampling.BILINEAR)
            if rng.random() < 0.4:
                stamp = stamp.rotate(float(rng.uniform(-180, 180)), expand=True)
            place = (
                int(rng.uniform(-0.3, 1.0) * (width - stamp.width / 2)),
                int(rng.uniform(-0.3, 1.0) * (height - stamp.height / 2)),
            )
            if len(cut_outs) == 1:
                place = ((width - stamp.width) // 2, (height - stamp.height) // 2)
            ground.paste(stamp, place, stamp.getchannel("A"))
        return np.asarray(ground)


def crop(rng: np.random.Generator, photo: Pixels) -> Pixels:
    """A part of 25 to 100 % of each side, mirrored half the time, turned now and then."""
    height, width = photo.shape[:2]
    share = 1.0 if rng.random() < 0.25 else rng.uniform(0.25, 1.0)
    rows = max(40, int(height * min(1.0, share * rng.uniform(0.8, 1.25))))
    columns = max(40, int(width * share))
    top, left = (
        int(rng.integers(0, max(1, height - rows))),
        int(rng.integers(0, max(1, width - columns))),
    )
    part = photo[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.12:
        part = np.rot90(part, int(rng.integers(1, 4)))
    return np.ascontiguousarray(part)


def _ground(rng: np.random.Generator, height: int, width: int, photos: Photographs) -> Pixels:
    kind = rng.random()
    if kind < 0.2:
        return np.full((height, width, 3), (0, 0, 0) if rng.random() < 0.4 else 255, np.uint8)
    if kind < 0.35:
        return np.full((height, width, 3), colour(rng), np.uint8)
    if kind < 0.55:
        return resize(gradient(rng), height, width)
    if kind < 0.7:
        return ramp(fractal(rng, height, width, 90), [colour(rng) for _ in range(3)])
    ground = resize(photos.opaque(rng), height, width)
    return blur(ground, rng.uniform(2, 8)) if rng.random() < 0.5 else ground


@lru_cache(maxsize=2000)
def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.copy()
