"""Trains the gate: chest radiograph, fundus, dermoscopy, CT patch, or something else.

The four kinds come from the task's own sets, everything else from `training.imaging.strangers`,
whose held-out part holds other photographs, screens and drawings than its training part.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import yaml
from PIL import Image
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from models.backends.onnx import OnnxBackend
from models.calibration import softmax
from models.imaging.context import WIDTH
from models.manifest import Calibration, Manifest, Metric, TensorSpec
from training.export import write_artifact
from training.imaging import calibrate, evaluate, export, launch
from training.imaging.config import ImagingConfig
from training.imaging.data import LabelledImages, preprocess_all, split_by_group
from training.imaging.fit import Fitter

Images = npt.NDArray[np.uint8]
LIMIT = float(np.log(2.0))
"""The largest -ln p(kind) at which a picture counts as of its kind: more likely than not."""
_VIEWS = (evaluate.AS_IS, "crop", "rotate_left", "jpeg", "blur", "noise", "exposure_down",
          "contrast_down")  # fmt: skip
Doubles = npt.NDArray[np.float64]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KindSet(_Strict):
    """A zip whose pictures are all of one kind; `held_out` of them where there is no dev part."""

    label: str
    train: str
    dev: str | None = None
    images: int
    held_out: int = 0


class StrangerSet(_Strict):
    """Packed pictures of no known kind, in the folder given to `train`, some sources left out."""

    label: str
    train: str
    dev: str
    exclude: tuple[str, ...] = ()


class KindsConfig(_Strict):
    """Which sets stand for which kind, and the training as of any other model."""

    sets: tuple[KindSet, ...]
    strangers: StrangerSet
    training: ImagingConfig


def read_config(path: Path) -> KindsConfig:
    """Raises pydantic.ValidationError naming the key that is wrong."""
    return KindsConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def train(
    config_path: Path, data_dir: Path, strangers_dir: Path, out_dir: Path, *, resume: bool = False
) -> dict[str, dict[str, float]]:
    """Fit, calibrate, measure and write NAME/VERSION; metric values as in the manifest.

    Under torchrun, all processes but the first return nothing.
    """
    config = read_config(config_path)
    if config.training.optimisation.threads:
        torch.set_num_threads(config.training.optimisation.threads)
    console = Console(stderr=True, quiet=not launch.leads())
    learned, unseen = read_kinds(config, data_dir, strangers_dir)
    options = config.training
    rows, held = split_by_group(
        learned.first, learned.groups, options.data.held_out_fraction, options.data.held_out_seed
    )
    fitter = Fitter(
        options, learned.take(rows), learned.take(held),
        out_dir / "checkpoints" / options.name / "member0",
    )  # fmt: skip
    member = fitter.run(resume=resume, report=console.print)
    if not launch.leads():
        return {}
    folder = out_dir / options.name / str(options.version)
    folder.mkdir(parents=True, exist_ok=True)
    served = export.ServedNet([member])
    export.export_onnx(served, options, folder / "model.onnx")
    backend = OnnxBackend(folder / "model.onnx", threads=2)
    views = evaluate.views_of(backend, learned.take(held), options.preprocessing, _VIEWS)
    logits = np.concatenate([view["logits"] for view in views.values()])
    labels = np.tile(learned.first[held], len(views))
    temperature, bias = calibrate.fit_scaling(logits, labels)
    # Biases go into the graph: softmax(logits / temperature) is then the whole calibration.
    served.shift(bias.astype(np.float32))
    export.export_onnx(served, options, folder / "model.onnx")
    backend = OnnxBackend(folder / "model.onnx", threads=2)
    manifest = _manifest(config, temperature)
    inputs = preprocess_all(unseen.images, options.preprocessing)
    out = evaluate.run_backend(backend, inputs)
    reference = export.run(served, {"image": inputs[:64]})[0]
    alone = evaluate.run_backend(backend, inputs[:16], batch_size=1)["logits"]
    manifest = manifest.model_copy(
        update={
            "metrics": _measure(manifest, out["logits"], unseen, temperature),
            "parity": {
                "max_abs_difference_logits": float(np.abs(out["logits"][:64] - reference).max()),
                "max_abs_difference_in_batch": float(np.abs(out["logits"][:16] - alone).max()),
            },
        }
    )
    write_artifact(folder, manifest, _SECTIONS)
    return {g: {n: m.value for n, m in v.items()} for g, v in manifest.metrics.items()}


def read_kinds(
    config: KindsConfig, data_dir: Path, strangers_dir: Path
) -> tuple[LabelledImages, LabelledImages]:
    """(to learn from, never seen): squares of the working size, in colours."""
    size = config.training.optimisation.working_size
    learned: list[tuple[Images, str, str]] = []
    unseen: list[tuple[Images, str, str]] = []
    for part in config.sets:
        pictures = _pictures(data_dir / part.train, part.images, size)
        split = len(pictures) - part.held_out
        learned += [(p, part.label, n) for p, n in pictures[:split]]
        unseen += [(p, part.label, n) for p, n in pictures[split:]]
        if part.dev is not None:
            dev = _pictures(data_dir / part.dev, 400, size)
            unseen += [(p, part.label, n) for p, n in dev]
    for name, target in ((config.strangers.train, learned), (config.strangers.dev, unseen)):
        with np.load(strangers_dir / name, allow_pickle=False) as packed:
            images, sources = packed["images"], packed["sources"]
        for image, source in zip(images, sources, strict=True):
            if str(source) in config.strangers.exclude:
                continue
            target.append((_square(Image.fromarray(image), size), config.strangers.label,
                           str(source)))  # fmt: skip
    return _gather(learned, config), _gather(unseen, config)


def _pictures(path: Path, count: int, size: int) -> list[tuple[Images, str]]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("images/") and n[-1] != "/")
        chosen = [names[i] for i in np.random.default_rng(5).permutation(len(names))[:count]]
        found = []
        for name in chosen:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                found.append((_square(image, size), f"{path.stem}/{name}"))
    return found


def _square(image: Image.Image, size: int) -> Images:
    small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, dtype=np.uint8)


def _gather(rows: list[tuple[Images, str, str]], config: KindsConfig) -> LabelledImages:
    codes = [label.code for label in config.training.first.labels]
    labels = np.array([[codes.index(label)] for _, label, _ in rows], dtype=np.int64)
    names = tuple(name for _, _, name in rows)
    return LabelledImages(
        np.stack([image for image, _, _ in rows]), labels, names,
        np.zeros((len(rows), WIDTH), dtype=np.float32), {"source": names}, names,
    )  # fmt: skip


def _surprise(logits: npt.NDArray[np.floating], place: int, temperature: float) -> Doubles:
    found: Doubles = -np.log(np.maximum(softmax(logits, temperature)[:, place], 1e-9))
    return found


def _manifest(config: KindsConfig, temperature: float) -> Manifest:
    options = config.training
    spec, kinds = options.preprocessing, options.first.labels
    limits = {k.code: round(LIMIT, 5) for k in kinds if k.code != config.strangers.label}
    names = export.output_names(options)
    shapes = {"logits": [-1, len(kinds)], "features": [-1, options.net.widths[3]]}
    return Manifest(
        name=options.name,
        version=options.version,
        task="image_kind",
        title=options.title,
        inputs=[TensorSpec(name="image", dtype="float32", shape=[-1, 3, spec.size, spec.size])],
        outputs=[
            TensorSpec(name=name, dtype="float32",
                       shape=shapes.get(name, [-1, len(kinds), -1, -1]))
            for name in names
        ],
        labels=list(kinds),
        preprocessing=asdict(spec),
        calibration=Calibration(temperature=round(temperature, 5)),
        thresholds=limits,
        training_sets=list(options.training_sets),
        files={},
        notes=[
            "thresholds: the largest -ln probability of a kind at which a picture counts as of"
            " that kind: ln 2, more likely than not",
        ],
    )  # fmt: skip


def _measure(
    manifest: Manifest, logits: npt.NDArray[np.floating], unseen: LabelledImages, temperature: float
) -> dict[str, dict[str, Metric]]:
    """Per kind: its own pictures refused; per kind and source of strangers: refused."""
    found: dict[str, dict[str, Metric]] = {}
    codes = [label.code for label in manifest.labels]
    sources = np.array([name.split("/")[0].split(":")[0] for name in unseen.columns["source"]])
    for place, code in enumerate(codes):
        limit = manifest.thresholds.get(code)
        if limit is None:
            continue
        refused = _surprise(logits, place, temperature) > limit
        own = unseen.first == place
        values = {"own_pictures_refused": float(refused[own].mean())}
        for other, name in enumerate(codes):
            if other != place:
                values[f"{name}_refused"] = float(refused[unseen.first == other].mean())
        strange = unseen.first == codes.index("other")
        for source in sorted(set(sources[strange])):
            values[f"other/{source}_refused"] = float(refused[strange & (sources == source)].mean())
        found[f"dev/{code}"] = {n: Metric(value=round(v, 4)) for n, v in values.items()}
    return found


_SECTIONS = {
    "Use": "Stands before every imaging task: a picture that is not of the task's kind gets no"
    " score and goes to a physician. It says what a picture looks like, never what ails anybody.",
    "Limits": "Chest films of children, one fundus camera, two dermoscopy clinics and one set of CT"
    " patches stand for their kinds; everything else is told from photographs of public software"
    " packages and from drawings of our own. Real phone photographs of skin were not to be had;"
    " they are imitated.",
}
