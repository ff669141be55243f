"""From a network and what its owner says of it to a folder of the model repository."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from models.errors import ModelRefused
from models.manifest import Calibration, Head, Label, Manifest, TensorSpec
from training.adopt.about import About, ImageInput
from training.adopt.network import AdoptedNet, export, find_ending, parity
from training.export import NETWORK, write_artifact

_UNMEASURED = (
    "Added from elsewhere. Calibration, prediction sets and the distance from the training images"
    " were not measured here: it never abstains for being undecided or for an unlike picture."
)


def write_classifier(
    net: nn.Module,
    channels: int,
    about: About,
    folder: Path,
    *,
    op_threshs: Sequence[float] = (),
    outputs: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Manifest:
    """Export, check and describe `net` (image [N, C, S, S] -> [N, outputs]) in the empty `folder`.

    `outputs` are the outputs' names where the checkpoint has them: `about` must agree.
    Raises ModelRefused.
    """
    image = about.check_classifier()
    given = _input_channels(image, channels)
    ending = find_ending(net, channels, image.size)
    count = ending.linear.out_features
    _check_labels(about, count, outputs)
    softmax = about.activation == "softmax"
    order = [about.labels.index(label) for label in _primary_first(about)]
    served = AdoptedNet(net, ending, image.standard, channels, order, softmax=softmax)
    heads = [] if softmax else _heads(about, order, op_threshs)
    names = ["logits", "features", "saliency", *(head.output for head in heads)]
    export(served, given, image.size, names, folder / NETWORK)
    differences = parity(served, given, image.size, names, folder / NETWORK)
    width = count if softmax else 2
    shapes = {"logits": [-1, width], "features": [-1, ending.linear.in_features]}
    shapes["saliency"] = [-1, count, -1, -1] if softmax else [-1, -1, -1]
    shapes |= {head.output: [-1, 2] for head in heads}
    primary = _primary_first(about)[0]
    manifest = Manifest(
        name=about.name,
        version=about.version,
        task="imaging",
        title=about.title,
        inputs=[
            TensorSpec(
                name="image", dtype="float32", shape=[-1, given, image.size, image.size]
            )
        ],
        outputs=[TensorSpec(name=n, dtype="float32", shape=shapes[n]) for n in names],
        labels=list(about.named) if softmax else _yes_no(primary),
        heads=heads,
        preprocessing={
            "mode": "rgb" if given == 3 else "grey",
            "shape": image.shape,
            "size": image.size,
            "margin": 0.0,
        },
        calibration=Calibration(temperature=about.temperature),
        thresholds=(
            dict(about.thresholds) if softmax else _threshold(about, primary, order[0], op_threshs)
        ),
        population=about.population,
        training_sets=list(about.training_sets),
        metrics=about.metrics,
        parity=differences,
        files={},
        notes=[_UNMEASURED, _scaling(image), *notes, *about.notes],
    )  # fmt: skip
    return write_artifact(folder, manifest, card_sections(about))


def card_sections(about: About) -> dict[str, str]:
    """The prose of the card: the owner's own words."""
    return {
        "What it is for": about.intended_use,
        "What it is not for": about.not_for,
        "How it was measured": (
            "By those who added it; the figures below are theirs, none were made here."
            if about.metrics
            else "Nobody has stated any figure. Measure it on your own patients before you use it."
        ),
    }


def _input_channels(image: ImageInput, channels: int) -> int:
    """Channels of the served input; a grey picture may feed a network of three channels."""
    given = 3 if image.colour == "rgb" else 1
    if given > channels:
        raise ModelRefused("about.yaml says rgb, the network takes one channel")
    if len(image.standard.mean) not in (1, channels):
        raise ModelRefused(
            f"about.yaml scales {len(image.standard.mean)} channels, the network takes {channels}"
        )
    return given


def _check_labels(about: About, count: int, outputs: Sequence[str]) -> None:
    if len(about.labels) != count:
        raise ModelRefused(f"about.yaml has {len(about.labels)} labels, the network {count}")
    if about.activation == "softmax" and count < 2:
        raise ModelRefused("a network with one output is read with sigmoid")
    for place, (label, name) in enumerate(zip(about.labels, outputs, strict=False)):
        # The order of the labels is the one mistake that nothing else would show.
        if label is not None and _plain(name) not in (_plain(label.code), _plain(label.en)):
            raise ModelRefused(
                f"output {place + 1} is {name or 'not used'!r} in the checkpoint and"
                f" {label.code!r} in about.yaml: use its name as the code or the English name"
            )


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _primary_first(about: About) -> list[Label]:
    return sorted(about.named, key=lambda label: label.code != about.primary)


def _yes_no(label: Label) -> list[Label]:
    """The two answers to a question that has an output of its own."""
    return [Label(code=f"no_{label.code}", zh=f"未见{label.zh}", en=f"no {label.en}"), label]


def _threshold(
    about: About, label: Label, output: int, op_threshs: Sequence[float]
) -> dict[str, float]:
    """The owner's threshold, or the checkpoint's, which is one on the plain sigmoid; or none."""
    if label.code in about.thresholds:
        return {label.code: about.thresholds[label.code]}
    value = op_threshs[output] if output < len(op_threshs) else math.nan
    if not 0 < value < 1:
        return {}
    odds = math.log(value / (1 - value)) / about.temperature
    return {label.code: 1 / (1 + math.exp(-odds))}


def _heads(about: About, order: Sequence[int], op_threshs: Sequence[float]) -> list[Head]:
    heads = []
    for label, output in list(zip(_primary_first(about), order, strict=True))[1:]:
        heads.append(
            Head(
                code=label.code,
                zh=label.zh,
                en=label.en,
                output=f"logits_{label.code}",
                labels=_yes_no(label),
                calibration=Calibration(temperature=about.temperature),
                thresholds=_threshold(about, label, output, op_threshs),
            )
        )
    return heads


def _scaling(image: ImageInput) -> str:
    mean, std = image.standard.mean, image.standard.std
    return (
        "Scaled inside of the network: (pixel - mean) / deviation, pixels in 0..1, mean "
        f"{', '.join(f'{m:g}' for m in mean)}, deviation {', '.join(f'{s:.6g}' for s in std)}."
    )
