"""Does an imaging task know which pictures are none of its own?

A folder of image sets: those named like the model's training set are its own, all others are
foreign; noise and pages of text are drawn here, and other pictures may lie in an npz (arrays
`images` [N, H, W, 3] and `sources` [N]). Every picture goes the served way: decoding, quality,
gate, network, distance. Patients are assumed to be of the model's population.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from eval.estimates import Estimate, bootstrapped, share
from eval.imaging import Reader, reader_of
from eval.progress import track
from eval.readers import ArrayImages, ImageSet, read_images
from eval.result import BenchmarkError, Details, Scored
from eval.training_sets import learned_from
from models.imaging.decode import DecodedImage, colour_spread
from models.metrics import auc
from models.repository import ModelRepository
from models.tasks.imaging import ImagingRequest

_MOST = 300
_DRAWN = 200
_WORDS = """
Dear patient your appointment is on Monday at nine please bring your insurance card and the list of
medicines that you take total cost invoice number name date signature page results
""".split()  # noqa: SIM905

Pictures = Iterator[DecodedImage]


def score(folder: Path, task_name: str, repository: ModelRepository) -> Scored:
    """AUROC of the out-of-distribution score against each foreign set, and shares refused."""
    reader = reader_of(repository, task_name)
    own, foreign, files = _sets(folder, reader.task.manifest.training_sets[0].name)
    scores, refused = _judge(own, reader, f"{task_name}, own")
    found: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]] = {}
    for name, pictures in {**foreign, "noise": _noise(), "text": _pages()}.items():
        found[name] = _judge(pictures, reader, f"{task_name}, {name}")
    estimates: dict[str, Estimate] = {}
    for name in foreign:
        estimates[f"auroc_{name}"] = _area(scores, found[name][0])
    if foreign:
        everyone = np.concatenate([found[name][0] for name in foreign])
        estimates["auroc"] = _area(scores, everyone)
    for name, (_, away) in found.items():
        estimates[f"refused_{name}"] = share(away)
    estimates["refused_own"] = share(refused)
    manifest = reader.task.manifest
    return Scored(
        n=len(scores) + sum(len(s) for s, _ in found.values()),
        estimates=estimates,
        models={manifest.name: manifest.version},
        details=Details(
            data=(
                f"{len(scores)} own pictures; foreign: "
                + ", ".join(f"{len(s)} {name}" for name, (s, _) in found.items())
                + ".",
            ),
            method=(
                "auroc: the served out-of-distribution score, own pictures against foreign ones. "
                "It is the larger of two ratios to their limits, the gate's surprise and the "
                "distance of the features; of a picture that the gate refuses, the former alone.",
                "refused: no score was given, for whatever reason but the patient's age.",
                f"At most {_MOST} pictures of each set, in even steps.",
            ),
            warnings=tuple(
                warning
                for file in files
                for known in reader.manifests
                for warning in learned_from(known, file)
            ),
        ),
    )


def _sets(folder: Path, own_name: str) -> tuple[Pictures, dict[str, Pictures], list[str]]:
    """The model's own pictures, the foreign ones by set, and the names of all files."""
    if not folder.is_dir():
        raise BenchmarkError(f"{folder.name}: foreign needs a folder of image sets")
    chosen: dict[str, Path] = {}
    for path in sorted(folder.glob("*.zip")):
        name, part = (*path.stem.split(".", 1), "")[:2]
        # What the networks learned from comes last.
        if name not in chosen or part in ("test", "dev"):
            chosen[name] = path
    if own_name not in chosen:
        raise BenchmarkError(f"{folder.name}: no set named {own_name}")
    files = [path.name for path in chosen.values()]
    own = _some(read_images(chosen.pop(own_name)))
    foreign = {name: _some(read_images(path)) for name, path in chosen.items()}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            if "sources" in arrays:
                files.append(path.name)
                foreign |= _by_source(arrays["images"], arrays["sources"])
    return own, foreign, files


def _by_source(
    images: npt.NDArray[np.uint8], sources: npt.NDArray[np.str_]
) -> Mapping[str, Pictures]:
    kinds = np.array([str(source).split("/")[0].split(":")[0] for source in sources])
    return {
        f"other_{kind}": _some(ArrayImages(images[kinds == kind], {})) for kind in np.unique(kinds)
    }


def _some(images: ImageSet) -> Pictures:
    count = len(images.names)
    return images.images(np.linspace(0, count - 1, min(count, _MOST)).astype(int).tolist())


def _judge(
    pictures: Pictures, reader: Reader, title: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Out-of-distribution score and whether no score was given, per picture."""
    population = reader.task.manifest.population
    low = population.min_age_years
    scores, refused = [], []
    for picture in track(pictures, None, title):
        # A header that names the wrong modality would be refused at once: pixels alone here.
        request = ImagingRequest(picture, age_years=low, kinds=reader.kinds(picture))
        reasons = reader.task.refusals(request)
        gated = "wrong_kind" in reasons
        outputs = None if gated else reader.backend.run(reader.task.prepare(request))
        found = reader.task.out_of_distribution(request, outputs)
        if found is None:
            raise BenchmarkError(f"{reader.task.model} has no out-of-distribution score")
        scores.append(found)
        refused.append(bool(reasons) or not found <= 1.0)
    return np.array(scores), np.array(refused, dtype=bool)


def _area(own: npt.NDArray[np.float64], foreign: npt.NDArray[np.float64]) -> Estimate:
    labels = np.concatenate([np.zeros(len(own), dtype=bool), np.ones(len(foreign), dtype=bool)])
    scores = np.concatenate([own, foreign])
    return bootstrapped(lambda rows: auc(labels[rows], scores[rows]), len(labels), samples=200)


def _noise() -> Pictures:
    """Grey and coloured noise, fine and coarse."""
    rng = np.random.default_rng(1)
    for i in range(_DRAWN):
        side = int(rng.choice([8, 32, 128, 320]))
        raw = rng.integers(0, 256, (side, side, 3 if i % 2 else 1), dtype=np.uint8)
        grain = np.repeat(raw, 3, axis=2) if raw.shape[2] == 1 else raw
        picture = Image.fromarray(grain).resize((320, 320), Image.Resampling.BICUBIC)
        yield _picture(picture)


def _pages() -> Pictures:
    """Lines of words, dark on light and the reverse, in several sizes."""
    rng = np.random.default_rng(2)
    for _ in range(_DRAWN):
        width, height = (int(v) for v in rng.integers(320, 1000, 2))
        dark = rng.random() < 0.3
        back, ink = (rng.integers(0, 60, 3), rng.integers(180, 256, 3))
        colours = (back, ink) if dark else (ink, back)
        page = Image.new("RGB", (width, height), tuple(int(c) for c in colours[0]))
        draw, size = ImageDraw.Draw(page), int(rng.integers(11, 30))
        for y in range(size, height - size, int(size * rng.uniform(1.2, 2.0))):
            line = " ".join(rng.choice(_WORDS, int(rng.integers(3, 14))))
            draw.text((size, y), line, fill=tuple(int(c) for c in colours[1]), font_size=size)
        yield _picture(page)


def _picture(image: Image.Image) -> DecodedImage:
    rgb = np.asarray(image.convert("RGB"))
    grey = np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255.0)
    spread = colour_spread(rgb)
    plain = DecodedImage(grey, "png", colour=spread)
    return replace(plain, rgb=rgb) if spread > 0 else plain
