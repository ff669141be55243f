"""The model card of an imaging model, written from its manifest: no figure is typed by hand.

Headings follow Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.manifest import Manifest, Metric

_PERCENT = ("sensitivity", "specificity")
_METRIC_NAMES = {
    "auc": "AUC",
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


def write_card(path: Path, manifest: Manifest) -> None:
    """Write the card beside the manifest it was made from."""
    path.write_text(render(manifest), encoding="utf-8")


def render(manifest: Manifest) -> str:
    """Markdown of the card."""
    sections = [
        _title(manifest),
        _intended_use(manifest),
        _training_data(manifest),
        _metrics(manifest),
        _stress(manifest),
        _safety(manifest),
        _saliency(manifest),
        _limits(),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _title(m: Manifest) -> list[str]:
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
        "- Network: residual network (MONAI), trained from random weights; no outside weights",
    ]


def _intended_use(m: Manifest) -> list[str]:
    p = m.population
    return [
        "## Intended use",
        "",
        "A second opinion beside a physician's own reading. A result is preliminary until a named"
        " physician signs it, and never reaches a patient as it is.",
        "",
        "## Population",
        "",
        f"- Age: {p.min_age_years:g} to {p.max_age_years:g} years. Outside of it, or with the age"
        " unknown, the score must not be used alone."
        if p.min_age_years is not None and p.max_age_years is not None
        else "- Age: not restricted",
        f"- Modality: {', '.join(p.modalities) or 'any'}; body part: "
        f"{', '.join(p.body_parts) or 'any'}; frontal views",
        "",
        "Not for: screening of healthy people, treatment choice, telling bacterial from viral"
        " disease, adults, lateral views, photographs of a screen or film.",
    ]


def _training_data(m: Manifest) -> list[str]:
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
    lines += [
        "",
        "Patients are kept apart: most of the train part fits the weights, a held-out part of it"
        " fixes threshold, temperature, prediction sets and distance limit, and the dev part is"
        " only measured.",
    ]
    return lines


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
    code, threshold = next(iter(m.thresholds.items()))
    lines = [
        "## Metrics on dev",
        "",
        f"At the shipped threshold: probability of `{code}` >= {threshold:.3f} (after temperature"
        f" {m.calibration.temperature:.2f}). In brackets the 95 % bootstrap interval, whole"
        " patients resampled. The threshold was set on the held-out patients so that sensitivity"
        " holds in the worst stress view.",
        "",
        "| metric | value |",
        "|---|---|",
    ]
    names = ("auc", "sensitivity", "specificity", "ece", "set_coverage", "set_size")
    return lines + _rows((*names, "out_of_distribution"), m.metrics["dev"])


def _stress(m: Manifest) -> list[str]:
    lines = [
        "## Stress",
        "",
        "The same dev images after one change of acquisition each"
        " (`models/imaging/stress.py`), same threshold.",
        "",
        "| change | AUC | sensitivity | specificity | refused as out of distribution |",
        "|---|---|---|---|---|",
    ]
    for view, values in m.metrics.items():
        if view.startswith("dev/"):
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
        "- Grey values (`models/imaging/quality.py`): blank, over- or under-exposed, inverted,"
        " upside down, in colour, too small, not laid out like a frontal chest.",
        "",
        "Share of altered or foreign pictures that get no score:",
        "",
        "| picture | by distance | by distance or grey values |",
        "|---|---|---|",
    ]
    for key, metric in values.items():
        if key.startswith("distance/"):
            name = key.removeprefix("distance/")
            both = values[f"refused/{name}"].value
            lines.append(f"| {name.replace('_', ' ')} | {metric.value:.0%} | {both:.0%} |")
    return lines


def _saliency(m: Manifest) -> list[str]:
    values = {name: metric.value for name, metric in m.metrics.get("saliency", {}).items()}
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
        " surroundings (pose, collimation, edges of the lungs), not from the lungs' middle.",
        "",
        "It shows what moved the score, coarsely (each cell of the map sees most of the picture,"
        " and the strongest spot often lies between the lungs); it does not outline disease.",
    ]


def _limits() -> list[str]:
    return [
        "## Limits",
        "",
        "- One hospital's images. Sick and healthy children there differ in more than disease"
        " (equipment, pose, age); training hides much of that (grey values by rank, corners"
        " masked, both classes given the same random looks), not all of it.",
        "- Models learned on this set have lost specificity on images acquired elsewhere. Measure"
        " on your own images, with your own threshold, before relying on a number above.",
        "- The labels say pneumonia or normal. Other disease (heart failure, tuberculosis,"
        " pneumothorax, a tumour) was never shown: either answer may come and excludes nothing.",
        "- Images were squashed to squares for training, and so they are here.",
        "",
        "## Ethical considerations",
        "",
        "- Children are a vulnerable group: the physician who signs is responsible, and a result of"
        " no sign of pneumonia never lowers an urgency that the clinical picture gives.",
        "- Sex, ethnicity and exact age are not in the data, so fairness over them is unmeasured.",
        "- Radiographs with burned-in names must be refused or cleaned before they are stored.",
    ]
