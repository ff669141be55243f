"""Small drawn sets and the settings to train on them in seconds."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml
from PIL import Image
from pydantic import BaseModel

from training.imaging.config import ImagingConfig, read_config
from training.imaging.kinds import KindsConfig
from training.imaging.kinds import read_config as read_kinds_config

ModelT = TypeVar("ModelT", bound=BaseModel)
CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"
SIDE = 48


def disc(
    rng: np.random.Generator, spots: int, colour: Sequence[int] = (190, 110, 60)
) -> np.ndarray:
    """uint8 [48, 48, 3]: a coloured disc on black with bright spots."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    image = np.where((np.hypot(x, y) < 0.46 * SIDE)[..., None], np.array(colour, float), 4.0)
    for _ in range(spots):
        row, column = rng.integers(SIDE // 4, 3 * SIDE // 4, 2)
        image[row : row + 3, column : column + 3] = 240.0
    return np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """The picture as a file; 16 bits of grey for uint16."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_set(path: Path, rows: Sequence[dict[str, str]], images: Sequence[bytes]) -> None:
    """A zip of `images/*` and `labels.csv`; `file` is added to every row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.DictWriter(table, ["file", *rows[0]])
    writer.writeheader()
    with zipfile.ZipFile(path, "w") as archive:
        for number, (row, image) in enumerate(zip(rows, images, strict=True)):
            archive.writestr(f"images/{number}.png", image)
            writer.writerow({"file": f"{number}.png", **row})
        archive.writestr("labels.csv", table.getvalue())


def write_fundus(path: Path, count: int, seed: int = 0) -> None:
    """Grade of retinopathy = number of spots; all five grades and three risks come."""
    rng = np.random.default_rng(seed)
    rows = [{"dr_grade": str(i % 5), "dme_risk": str(i % 3)} for i in range(count)]
    write_set(path, rows, [png(disc(rng, 2 * (i % 5))) for i in range(count)])


def write_skin(path: Path, count: int, seed: int = 0) -> None:
    """Seven kinds by colour, two pictures of each lesion, with age, sex and site of the patient."""
    rng = np.random.default_rng(seed)
    kinds = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    rows = [
        {"dx": kinds[i // 2 % 7], "lesion_id": f"{path.stem}-{i // 2}",
         "age": ("40.0", "")[i % 2], "sex": ("male", "female", "unknown")[i % 3],
         "localization": ("back", "face", "unknown")[i % 3]}
        for i in range(count)
    ]  # fmt: skip
    tones = np.random.default_rng(9).integers(60, 220, (7, 3))
    write_set(path, rows, [png(disc(rng, 1, tones[i // 2 % 7])) for i in range(count)])


def write_nodules(path: Path, count: int, seed: int = 0) -> None:
    """Grey patches; every second one has bright spots."""
    rng = np.random.default_rng(seed)
    rows = [{"nodule": str(i % 2)} for i in range(count)]
    write_set(path, rows, [png(disc(rng, 4 * (i % 2))[..., 0]) for i in range(count)])


def small(name: str, **optimisation: object) -> ImagingConfig:
    """The shipped config of that name over pictures of 32 pixels, with a tiny network.

    optimisation: what is else than 2 epochs of 16 pictures in batches of 8, in fp32, with the
    plainest of augmentations.
    """
    config = read_config(CONFIGS / f"{name}.yaml")
    plain = {
        "epochs": (2,), "samples_per_epoch": 16, "batch_size": 8, "precision": "fp32",
        "working_size": SIDE, "watched": ("blur",),
        "augmentation": ({"RandFlip": {"prob": 0.5, "spatial_axis": 1}},
                         {"RandGaussianNoise": {"prob": 0.5, "std": 0.04}}),
    }  # fmt: skip
    spec = config.preprocessing
    tiny = {"widths": (8, 8, 8, 8), "blocks": (1, 1, 1, 1)}
    return altered(
        config,
        preprocessing=replace(spec, size=32),
        net=altered(config.net, **tiny, family="resnet", start="random", frozen=0),
        optimisation=altered(config.optimisation, **(plain | optimisation)),
    )


def altered(model: ModelT, **changes: object) -> ModelT:
    """A copy with some fields changed, validated anew."""
    return type(model).model_validate({**dict(model), **changes})


def write_config(config: BaseModel, path: Path) -> Path:
    """As a file that the trainer reads."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    return path


def write_gate(folder: Path) -> KindsConfig:
    """The gate's sets: discs of three colours, and stripes that are none of them."""
    rng = np.random.default_rng(0)
    config = read_kinds_config(CONFIGS / "image_kind.yaml")
    shapes = {"chest_xray": (30, 200, 30), "fundus": (190, 110, 60), "ct_patch": (90, 90, 90)}
    for part in config.sets:
        for name, count in ((part.train, 16), (part.dev, 6)):
            if name is None:
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(folder / name, "w") as archive:
                for i in range(count):
                    archive.writestr(f"images/{i}.png", png(disc(rng, 2, shapes[part.label])))
    for name, count in ((config.strangers.train, 16), (config.strangers.dev, 6)):
        stripes = np.tile(np.arange(48, dtype=np.uint8) * 5, (count, 48, 1))
        np.savez(folder / name, images=np.repeat(stripes[..., None], 3, axis=3),
                 sources=np.array(["text/page"] * count))  # fmt: skip
    sets = [altered(part, held_out=6 if part.dev is None else 0) for part in config.sets]
    tiny = small("fundus_dr", watched=())
    training = altered(
        config.training, net=tiny.net, optimisation=tiny.optimisation,
        preprocessing=replace(config.training.preprocessing, size=32),
        data=altered(config.training.data, held_out_fraction=0.3),
    )  # fmt: skip
    return altered(config, sets=tuple(sets), training=training)
