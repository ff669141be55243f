"""The model card of an imaging model, written from its manifest: no figure is typed by hand.

Headings follow Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.manifest import Manifest, Metric
from training.imaging.config import ImagingConfig

_PERCENT = ("sensitivity", "specificity")
_REPORTED = (
    "auc", "accuracy", "balanced_accuracy", "quadratic_kappa", "joint_accuracy", "sensitivity",
    "specificity", "ece", "set_coverage", "set_size", "out_of_distribution",
)  # fmt: skip
_METRIC_NAMES = {
    "auc": "AUC (macro, one against the rest)",
    "balanced_accuracy": "balanced accuracy",
    "quadratic_kappa": "quadratic kappa",
    "joint_accuracy": "all questions right",
    "ece": "calibration error (debiased, 15 bins)",
    "set_coverage": "prediction sets that hold the truth",
    "set_size": "mean labels in a set",
    "out_of_distribution": "refused as out of distribution",
}
_STRESS_NAMES = {
    "exposure_up": "exposure x 1.35, saturating",
    "exposure_down": "exposure x 0.6",
    "gamma_up": "gamma 1.6",
    "gamma_down": "gamma 0.6",
    "contrast_up": "contrast x 1.5, saturating",
    "contrast_down": "contrast x 0.5",
    "crop": "8 % cut from each side",
    "rotate_left": "turned 8 degrees left",
    "rotate_right": "turned 8 degrees right",
    "jpeg": "JPEG quality 30",
    "blur": "Gaussian blur, 0.6 % of the width",
    "noise": "noise, 8 grey levels",
    "portable": "bedside look: tight field, grey background, flat contrast, soft, turned",
}


_MEASURED_ON = {
    "dev": "on dev",
    "cross-validation": "cross-validated",
    "held-out": "on held-out patients",
}
# Of each kind of picture: what lies around its middle, and what to mind when reading a map.
_CENTRE = {
    "chest_xray": (
        " (pose, collimation, edges of the lungs), not from the lungs' middle",
        ", and the strongest spot often lies between the lungs",
    ),
    "fundus": (" (vessels, periphery), not from macula and disc", ""),
    "dermoscopy": (" (skin around the lesion, a marker, the dermoscope's edge)", ""),
    "ct_patch": (" (lung around the candidate)", ""),
}


def write_card(path: Path, manifest: Manifest, config: ImagingConfig) -> None:
    """Write the card beside the manifest it was made from."""
    path.write_text(render(manifest, config), encoding="utf-8")


def render(manifest: Manifest, config: ImagingConfig) -> str:
    """Markdown of the card."""
    sections = [
        _title(manifest, config),
        _intended_use(manifest),
        _training_data(manifest, config),
        _metrics(manifest),
        _heads(manifest),
        _subgroups(manifest),
        _stress(manifest),
        _safety(manifest),
        _saliency(manifest, config),
        _limits(config),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _title(m: Manifest, config: ImagingConfig) -> list[str]:
    shape = "x".join(str(n) for n in m.inputs[0].shape[1:])
    return [
        f"# {m.title['en']} / {m.title['zh']}",
        "",
        "Written by `training/imaging/card.py` from `manifest.json`; don't edit.",
        "",
        f"- Model: `{m.name}`, version {m.version}",
        f"- Input: `{m.inputs[0].name}`, {m.inputs[0].dtype}, {shape}, preprocessed by"
        " `models/imaging/preprocess.py`",
        f"- Output: {', '.join(f'`{o.name}`' for o in m.outputs)}",
        f"- Labels: {', '.join(f'{label.en} ({label.zh})' for label in m.labels)}",
        f"- Network: {_network(config)}",
    ]


def _network(config: ImagingConfig) -> str:
    count, net = len(config.optimisation.epochs), config.net
    name = "residual network" if net.family == "resnet" else "EfficientNet-Lite 0 network"
    start = "random weights; no outside weights"
    if net.start == "imagenet":
        start = "weights learned on ImageNet (`training/imaging/trunks.py`)"
    if config.optimisation.distil:
        what = f"one {name} that learned from {count}"
    elif count > 1:
        what = f"{count} {name}s, whose logits are averaged"
    else:
        what = f"one {name}"
    return f"{what} (MONAI), trained from {start}"


def _intended_use(m: Manifest) -> list[str]:
    if m.benchmark_only:
        return [
            "## Intended use",
            "",
            "Comparison with published figures on the same benchmark, and nothing else: no server"
            " hosts it, and no picture of a patient is read with it.",
        ]
    p = m.population
    ages = "- Age: not restricted"
    if p.min_age_years is not None and p.max_age_years is not None:
        ages = (
            f"- Age: {p.min_age_years:g} to {p.max_age_years:g} years. Outside of it, or with the"
            " age unknown, no score is given."
        )
    return [
        "## Intended use",
        "",
        "A second opinion beside a physician's own reading. A result is preliminary until a named"
        " physician signs it, and never reaches a patient as it is.",
        "",
        "## Population",
        "",
        ages,
        f"- Kind of picture: {p.image_kind or 'any'}; DICOM modality: "
        f"{', '.join(p.modalities) or 'any'}; body part: {', '.join(p.body_parts) or 'any'}",
        "",
        "Not for: screening without a physician, or the choice of a treatment.",
    ]


def _training_data(m: Manifest, config: ImagingConfig) -> list[str]:
    lines = [
        "## Training data and licence",
        "",
        "| set | rows | licence | commercial use | source |",
    ]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {s.name} | {s.rows:,} | {s.licence} | {s.commercial_use} | {s.source} |"
        for s in m.training_sets
    ]
    if config.data.folds:
        how = (
            f"{config.data.folds} folds: each member network never saw one of them, and was not"
            " stopped by it either. What one member says of its own fold fixes threshold,"
            " temperature and prediction sets; all members together are served. "
        )
        how += (
            "The dev part is only measured."
            if config.data.dev
            else "Reported below: each fold by its own member, with threshold, temperature and"
            " sets decided by the other folds. The served mean of all members is not measured,"
            " since no picture is new to all of them."
        )
    else:
        how = (
            "Patients are kept apart where the set names them: most of the train part fits the"
            " weights; a held-out part of it stops the training, and fixes threshold, temperature,"
            " prediction sets and distance limit; the dev part is only measured."
        )
    return [*lines, "", how]


def _show(metric: Metric | None, *, percent: bool = False) -> str:
    if metric is None:
        return ""
    numbers = [metric.value, metric.low, metric.high]
    text = [("" if n is None else f"{100 * n:.1f}" if percent else f"{n:.3f}") for n in numbers]
    unit = " %" if percent else ""
    return f"{text[0]}{unit}" + (f" ({text[1]}-{text[2]})" if metric.low is not None else "")


def _rows(names: Iterable[str], values: dict[str, Metric]) -> list[str]:
    return [
        f"| {_METRIC_NAMES.get(name, name)} | {_show(values[name], percent=name in _PERCENT)} |"
        for name in names
        if name in values
    ]


def _metrics(m: Manifest) -> list[str]:
    lines = [f"## Metrics, {_MEASURED_ON[m.measured_on]}", ""]
    for code, threshold in m.thresholds.items():
        lines += [
            f"At the shipped threshold: probability of `{code}` >= {threshold:.3f} (after"
            f" temperature {m.calibration.temperature:.2f}), chosen on images that no weight was"
            " fitted to. In brackets the 95 % bootstrap interval; whole patients are resampled"
            " where the set names them.",
            "",
        ]
    if m.answer_weights:
        lines += [
            "The answer is the label with the largest probability over its share in the training"
            " set: a rare disease counts as much as a common one.",
            "",
        ]
    return [*lines, "| metric | value |", "|---|---|", *_rows(_REPORTED, m.metrics["dev"])]


def _heads(m: Manifest) -> list[str]:
    lines: list[str] = []
    for head in m.heads:
        use = " Research only: never a reason for a treatment." if head.research_only else ""
        points = ", ".join(f"`{code}` >= {t:.3f}" for code, t in head.thresholds.items())
        lines += [
            f"### Further question: {head.en} / {head.zh}",
            "",
            f"Labels: {', '.join(f'{label.en}' for label in head.labels)}."
            + (f" Threshold: {points}." if points else "")
            + use,
            "",
            "| metric | value |",
            "|---|---|",
            *_rows(_REPORTED, m.metrics.get(f"dev/head/{head.code}", {})),
            "",
        ]
    return lines[:-1]


def _subgroups(m: Manifest) -> list[str]:
    groups = {k.removeprefix("subgroup/"): v for k, v in m.metrics.items()
              if k.startswith("subgroup/")}  # fmt: skip
    if not groups:
        return ["## Subgroups", "", "Sex and age are not in the data: fairness is unmeasured."]
    names = [n for n in _REPORTED if any(n in values for values in groups.values())]
    lines = ["## Subgroups", "", "| group | images | " + " | ".join(
        _METRIC_NAMES.get(n, n) for n in names) + " |"]  # fmt: skip
    lines.append("|---|---|" + "---|" * len(names))
    for group, values in groups.items():
        cells = [_show(values.get(n), percent=n in _PERCENT) for n in names]
        lines.append(f"| {group} | {values['images'].value:.0f} | {' | '.join(cells)} |")
    return lines


def _stress(m: Manifest) -> list[str]:
    lines = [
        "## Stress",
        "",
        f"The same images ({_MEASURED_ON[m.measured_on]}) after one change of acquisition each"
        " (`models/imaging/stress.py`), same threshold.",
        "",
        "| change | AUC | sensitivity | specificity | refused as out of distribution |",
        "|---|---|---|---|---|",
    ]
    for view, values in m.metrics.items():
        if view.startswith("dev/") and not view.startswith("dev/head/"):
            name = view.removeprefix("dev/")
            cells = [_show(values.get("auc"))]
            cells += [_show(values.get(rate), percent=True) for rate in _PERCENT]
            cells.append(_show(values.get("out_of_distribution")))
            lines.append(f"| {_STRESS_NAMES.get(name, name)} | {' | '.join(cells)} |")
    return lines


def _safety(m: Manifest) -> list[str]:
    lines = ["## When it must not answer", ""]
    if m.conformal is not None:
        lines.append(
            f"- Prediction sets (split conformal, {m.conformal.coverage:.0%} coverage): a label is"
            f" in the set when 1 - probability <= {m.conformal.quantile:.4f}. Not exactly one"
            " label in the set means: undecided."
        )
    if m.ood is not None:
        lines.append(
            f"- Distance ({m.ood.method}) of the features above {m.ood.threshold:.1f}: the picture"
            " is unlike the training images."
        )
    values = m.metrics.get("outsiders", {})
    lines += [
        "- Pixel values (`models/imaging/quality_limits.yaml`): blank, over- or under-exposed,"
        " blurred, too small, in colour or without it, and for a chest inverted, upside down or"
        " not laid out like a frontal view.",
        "- Kind of picture, by the gate model `image_kind`.",
        "",
        "Share of altered pictures that get no score (the gate not counted; a picture of skin or"
        " retina may be turned upside down without harm):",
        "",
        "| picture | by distance | by distance or pixel values |",
        "|---|---|---|",
    ]
    for key, metric in values.items():
        if key.startswith("distance/"):
            name = key.removeprefix("distance/")
            both = values[f"refused/{name}"].value
            lines.append(f"| {name.replace('_', ' ')} | {metric.value:.0%} | {both:.0%} |")
    return lines


def _saliency(m: Manifest, config: ImagingConfig) -> list[str]:
    values = {name: metric.value for name, metric in m.metrics.get("saliency", {}).items()}
    surround, caution = _CENTRE.get(config.population.image_kind or "", ("", ""))
    return [
        "## Saliency sanity",
        "",
        "The map is the class-activation map from the last feature maps, computed in the graph.",
        "",
        "- Model randomisation (Adebayo et al. 2018): mean rank correlation with the maps of"
        f" randomly weighted networks {values.get('randomised_weights_rank_correlation', 0):.2f}"
        f" (largest of five {values.get('randomised_weights_max_abs_correlation', 0):.2f});"
        " near 0 means that the map follows what was learned.",
        "- Share of the map in the central 56 % of the picture:"
        f" {values.get('central_share', 0):.0%}.",
        "- AUC with that centre blanked:"
        f" {values.get('auc_with_centre_blanked', 0):.3f}; what is above 0.5 comes from the"
        f" surroundings{surround}.",
        "",
        "It shows what moved the score, coarsely (each cell of the map sees most of the picture"
        f"{caution}); it does not outline disease.",
    ]


def _limits(config: ImagingConfig) -> list[str]:
    return [
        "## Limits",
        "",
        *(f"- {limit}" for limit in config.limits),
        "- Disease that was never shown may get any answer, and an answer excludes nothing else.",
        "- Measure on your own images before relying on a number above.",
        "",
        "## Ethical considerations",
        "",
        "- The physician who signs is responsible; a result without a finding never lowers an"
        " urgency that the clinical picture gives.",
        "- Pictures with burned-in names are flagged for review before anything is released.",
    ]
