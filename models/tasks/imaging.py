"""An image classifier as a task: who may be scored, tensors, calibrated opinion with abstention.

A patient outside of the population that the model learned from gets no score at all; neither
does a picture that is unfit or unlike the training images. All of these go to a physician.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.backends import Tensors
from models.calibration import ood_score, prediction_set, softmax
from models.imaging.decode import DecodedImage
from models.imaging.opinion import (
    ABSTENTIONS,
    DEVICE_LABEL,
    Abstention,
    ImagingResult,
    LabelProbability,
    OperatingPoint,
    Quality,
)
from models.imaging.preprocess import PreprocessSpec, preprocess
from models.imaging.quality import check_quality
from models.manifest import Manifest

_AGE_TOLERANCE_YEARS = 1.0
_FRONTAL = frozenset({"AP", "PA"})


@dataclass(frozen=True)
class ImagingRequest:
    """A decoded image and what is known of the patient; None where unknown."""

    image: DecodedImage
    age_years: float | None = None


class ImagingTask:
    """`Task[ImagingRequest, ImagingResult]` for one model of the repository."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        known = PreprocessSpec.__dataclass_fields__
        self._spec = PreprocessSpec(
            **{k: v for k, v in manifest.preprocessing.items() if k in known}  # type: ignore[arg-type]
        )

    @property
    def model(self) -> str:
        """The model's name, which is the task's name too."""
        return self._manifest.name

    @property
    def margin(self) -> float:
        """The fraction of each side that preprocessing cuts away."""
        return self._spec.margin

    def refusals(self, request: ImagingRequest) -> tuple[Abstention, ...]:
        """Why this patient or picture must not be scored; empty when it may."""
        population, found = self._manifest.population, []
        metadata = request.image.metadata
        stated, recorded = request.age_years, metadata.age_years
        age = self.age(request)
        if age is None:
            found.append("age_unknown")
        elif not _within(age, population.min_age_years, population.max_age_years):
            found.append("age_outside_population")
        known_twice = stated is not None and recorded is not None
        if known_twice and abs(stated - recorded) > _AGE_TOLERANCE_YEARS:  # type: ignore[operator]
            found.append("age_contradiction")
        modality, body_part = metadata.modality, metadata.body_part
        if modality and population.modalities and modality not in population.modalities:
            found.append("wrong_modality")
        if body_part and population.body_parts and body_part not in population.body_parts:
            found.append("wrong_body_part")
        if metadata.view_position is not None and metadata.view_position not in _FRONTAL:
            found.append("wrong_view")
        if metadata.burned_in:
            found.append("burned_in_text")
        if any(issue.fatal for issue in check_quality(request.image)):
            found.append("unfit_image")
        return tuple(found)  # type: ignore[arg-type]

    def age(self, request: ImagingRequest) -> float | None:
        """Age in years: the DICOM's where it has one, else the stated one."""
        recorded = request.image.metadata.age_years
        return request.age_years if recorded is None else recorded

    def prepare(self, request: ImagingRequest) -> Tensors:
        """`image` float32 [1, 1, S, S]."""
        return {"image": preprocess(request.image.pixels, self._spec)[None]}

    def finish(self, request: ImagingRequest, outputs: Tensors | None) -> ImagingResult:
        """The opinion; `outputs` None where `refusals` forbade a score."""
        abstained = list(self.refusals(request))
        score: float | None = None
        probabilities: tuple[LabelProbability, ...] = ()
        chosen: tuple[str, ...] = ()
        point: OperatingPoint | None = None
        manifest = self._manifest
        if outputs is not None and not abstained:
            if manifest.ood is not None:
                score = float(ood_score(outputs["features"], manifest.ood)[0])
                if score > manifest.ood.threshold:
                    abstained.append("out_of_distribution")
            if not abstained:
                p = self.probabilities(outputs)
                probabilities = tuple(
                    LabelProbability(
                        code=label.code,
                        name={"zh": label.zh, "en": label.en},
                        probability=round(float(value), 4),
                    )
                    for label, value in zip(manifest.labels, p, strict=True)
                )
                point = self._operating_point(p)
                if manifest.conformal is not None:
                    chosen = tuple(
                        manifest.labels[i].code for i in prediction_set(p, manifest.conformal)
                    )
                    if len(chosen) != 1:
                        abstained.append("undecided")
        metadata = request.image.metadata
        return ImagingResult(
            label=DEVICE_LABEL,
            task=manifest.name,
            model_version=manifest.version,
            age_years=self.age(request),
            modality=metadata.modality,
            body_part=metadata.body_part,
            probabilities=probabilities,
            prediction_set=chosen,
            coverage=None if manifest.conformal is None else manifest.conformal.coverage,
            operating_point=point,
            abstained=tuple(abstained),
            explanations=tuple(ABSTENTIONS[reason] for reason in abstained),
            ood_score=None if score is None else round(score, 3),
            ood_threshold=None if manifest.ood is None else manifest.ood.threshold,
            quality=tuple(
                Quality(code=i.code, value=round(i.value, 4), limit=i.limit, fatal=i.fatal)
                for i in check_quality(request.image)
            ),
            warnings=request.image.warnings,
        )

    def probabilities(self, outputs: Tensors) -> NDArray[np.float64]:
        """Calibrated probabilities [C] of the first row."""
        p: NDArray[np.float64] = softmax(outputs["logits"], self._manifest.calibration.temperature)[
            0
        ]
        return p

    def saliency(self, outputs: Tensors) -> NDArray[np.float32]:
        """The map [h, w] of the first row, in logits."""
        found: NDArray[np.float32] = np.asarray(outputs["saliency"][0], dtype=np.float32)
        return found

    def _operating_point(self, p: NDArray[np.float64]) -> OperatingPoint | None:
        for index, label in enumerate(self._manifest.labels):
            threshold = self._manifest.thresholds.get(label.code)
            if threshold is not None:
                measured = self._manifest.metrics.get("dev", {})
                return OperatingPoint(
                    label=label.code,
                    name={"zh": label.zh, "en": label.en},
                    probability=round(float(p[index]), 4),
                    threshold=threshold,
                    positive=bool(p[index] >= threshold),
                    measured={
                        name: {"value": m.value, "low": m.low, "high": m.high}
                        for name, m in measured.items()
                        if name in ("sensitivity", "specificity", "auc")
                    },
                )
        return None


def _within(value: float, low: float | None, high: float | None) -> bool:
    """Whole years of age: a child of 5 years and 11 months is 5."""
    return (low is None or value >= low) and (high is None or value < high + 1)
