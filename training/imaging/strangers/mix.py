"""Draws strangers of one side of the split in the stated shares, and packs them.

    strangers(folder, "train", 6000, seed) -> Packed(images uint8 [N, S, S, 3], sources)
    iter_strangers(folder, seed)           -> endless uint8 [H, W, 3] of the training side

Every picture carries its source (FAMILY/GENERATOR or photos/PART), so that an evaluation can tell
sources apart. The same folder, fonts and seed give the same pictures.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.imaging.strangers import documents, drawings, noise, odd_medical, phone
from training.imaging.strangers.canvas import Draw, Pixels, grey, grid, resize
from training.imaging.strangers.config import Split, StrangersConfig, read_config
from training.imaging.strangers.fonts import Pen
from training.imaging.strangers.medical import MedicalImages
from training.imaging.strangers.photos import Photographs

Scene = Callable[[np.random.Generator], tuple[str, Pixels]]

NOISE: tuple[Draw, ...] = (
    noise.white,
    noise.salt_and_pepper,
    noise.blocky,
    noise.clouds,
    noise.spectral,
    noise.garbled_jpeg,
    noise.torn_rows,
    noise.flat,
    noise.gradient,
    noise.stripes,
    noise.test_chart,
    noise.barcode,
    noise.matrix_code,
)
TEXT = (
    documents.page,
    documents.heading,
    documents.code,
    documents.form,
    documents.handwriting,
    documents.letter,
    documents.chat,
    documents.table,
    documents.slide,
)


@dataclass(frozen=True, slots=True)
class Packed:
    """images uint8 [N, S, S, 3]; sources: one name per picture."""

    images: npt.NDArray[np.uint8]
    sources: tuple[str, ...]


def strangers(
    folder: Path,
    split: Split,
    count: int,
    seed: int,
    *,
    medical: Path | None = None,
    config: StrangersConfig | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Packed:
    """`count` pictures squashed to squares; `advance` is called after each.

    `medical` is the data folder whose training images the phone scenes photograph; without it those
    scenes are left out. Raises NoPhotographs when `collect` was not run, NoFonts without fonts.
    """
    settings = config or read_config()
    scenes = _scenes(folder, split, settings, medical)
    side = settings.size
    images = np.empty((count, side, side, 3), np.uint8)
    sources = []
    for number in range(count):
        # One generator per picture: a change of one drawing leaves the others as they were.
        rng = np.random.default_rng((seed, _SIDES[split], number))
        source, pixels = _draw(scenes, rng)
        images[number] = resize(pixels, side, side)
        sources.append(source)
        advance()
    return Packed(images, tuple(sources))


def iter_strangers(
    folder: Path, seed: int, split: Split = "train", *, medical: Path | None = None
) -> Iterator[tuple[str, Pixels]]:
    """Endless (source, uint8 [H, W, 3]) at the sizes they were drawn in."""
    scenes = _scenes(folder, split, read_config(), medical)
    rng = np.random.default_rng((seed, _SIDES[split]))
    while True:
        yield _draw(scenes, rng)


def write_packed(path: Path, packed: Packed) -> None:
    """An npz with `images` and `sources`; uncompressed, noise and photographs hardly shrink."""
    np.savez(path, images=packed.images, sources=np.array(packed.sources))


_SIDES: dict[Split, int] = {"train": 0, "held_out": 1}


def _scenes(
    folder: Path, split: Split, config: StrangersConfig, medical: Path | None
) -> tuple[list[Scene], npt.NDArray[np.float64]]:
    held_out = split == "held_out"
    pen = Pen(held_out, config.held_out_fonts)
    photos = Photographs.read(folder, config, split)
    families: dict[str, list[Scene]] = {
        "noise": [_named("noise", draw) for draw in NOISE],
        "text": [_written("text", draw, pen) for draw in TEXT],
        "drawing": [_named("drawing", draw) for draw in drawings.ALL],
        "medical": [_named("medical", draw) for draw in odd_medical.ALL],
        "photos": [_photo(photos)],
        "screens": _screens(folder),
        "phone": [_named("phone", draw) for draw in phone.DRAWN],
    }
    if medical is not None:
        studio = phone.Studio(MedicalImages.read(medical, held_out), photos)
        families["phone"] += [_staged("phone", draw, studio) for draw in phone.STAGED]
    scenes: list[Scene] = []
    weights: list[float] = []
    for family, members in families.items():
        kept = [m for m in members if _on_side(m.__name__, config, held_out)]
        for member in kept:
            scenes.append(member)
            weights.append(config.shares.get(family, 0.0) / len(kept))
    total = np.array(weights)
    return scenes, total / total.sum()


def _on_side(name: str, config: StrangersConfig, held_out: bool) -> bool:
    return name == "photos" or (name in config.held_out_sources) == held_out


def _draw(
    scenes: tuple[list[Scene], npt.NDArray[np.float64]], rng: np.random.Generator
) -> tuple[str, Pixels]:
    members, weights = scenes
    source, pixels = members[int(rng.choice(len(members), p=weights))](rng)
    return source, _worn(rng, pixels)


def _named(family: str, draw: Draw) -> Scene:
    def scene(rng: np.random.Generator) -> tuple[str, Pixels]:
        return name, draw(rng)

    name = scene.__name__ = f"{family}/{draw.__name__}"
    return scene


def _written(family: str, draw: Callable[[np.random.Generator, Pen], Pixels], pen: Pen) -> Scene:
    def scene(rng: np.random.Generator) -> tuple[str, Pixels]:
        return name, draw(rng, pen)

    name = scene.__name__ = f"{family}/{draw.__name__}"
    return scene


def _staged(family: str, draw: phone.PhoneDraw, studio: phone.Studio) -> Scene:
    def scene(rng: np.random.Generator) -> tuple[str, Pixels]:
        return name, draw(rng, studio)

    name = scene.__name__ = f"{family}/{draw.__name__}"
    return scene


def _photo(photos: Photographs) -> Scene:
    def scene(rng: np.random.Generator) -> tuple[str, Pixels]:
        part, pixels = photos.draw(rng)
        return f"photos/{part}", pixels

    scene.__name__ = "photos"
    return scene


def _screens(folder: Path) -> list[Scene]:
    """One scene per layout of the screenshots that `screens` took; none where it was not run."""

    def of(layout: str, files: list[Path]) -> Scene:
        def scene(rng: np.random.Generator) -> tuple[str, Pixels]:
            with Image.open(files[int(rng.integers(len(files)))]) as image:
                return name, _part_of_screen(rng, np.asarray(image.convert("RGB")))

        name = scene.__name__ = f"screens/{layout}"
        return scene

    layouts = sorted(path for path in (folder / "screens").glob("*") if path.is_dir())
    return [of(path.name, sorted(path.glob("*.png"))) for path in layouts]


def _part_of_screen(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    if rng.random() < 0.4:
        return pixels
    height, width = pixels.shape[:2]
    rows, columns = (np.array([height, width]) * rng.uniform(0.3, 1, 2)).astype(int)
    top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
    return pixels[top : top + rows, left : left + columns]


def _worn(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """What happens to pictures on their way, so that no such trace alone means one of the kinds.

    Grey, small and blurred like a CT patch, round on black like a fundus, coded as JPEG.
    """
    if rng.random() < 0.22:
        pixels = grey((pixels @ np.array([0.299, 0.587, 0.114]) / 255).astype(np.float32))
    if rng.random() < 0.12:
        pixels = _in_circle(rng, pixels)
    if rng.random() < 0.15:
        side = int(rng.integers(28, 80))
        pixels = resize(pixels, side, side)
    if rng.random() < 0.05:
        pixels = np.asarray(255 - pixels)
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            buffer, "JPEG", quality=int(rng.integers(20, 96))
        )
        with Image.open(buffer) as image:
            pixels = np.asarray(image)
    return pixels


def _in_circle(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    y, x = grid(*pixels.shape[:2])
    inside = np.hypot(x - rng.uniform(-0.1, 0.1), y - rng.uniform(-0.1, 0.1))
    ground = 0 if rng.random() < 0.75 else 255
    return np.where((inside < rng.uniform(0.7, 1.05))[..., None], pixels, ground).astype(np.uint8)
