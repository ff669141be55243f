"""An image classifier as a task: who may be scored, tensors, calibrated opinion with abstention.

A patient outside of the population that the model learned from gets no score at all; neither
does a picture that is unfit, of another kind, or unlike the training images. All of these go to a
physician.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge_base.language import Bilingual
from models.backends import Tensors
from models.calibration import ood_score
from models.imaging.ages import contradict
from models.imaging.context import encode_context
from models.imaging.decode import DecodedImage
from models.imaging.dicom_display import hounsfield_window
from models.imaging.opinion import (
    ABSTENTIONS,
    DEVICE_LABEL,
    Abstention,
    HeadOpinion,
    ImagingResult,
    LabelProbability,
    OperatingPoint,
    Quality,
    Subgroup,
)
from models.imaging.preprocess import Pixels, SeenBox, preprocess, seen_box, spec_of
from models.imaging.quality import QualityIssue, check_quality
from models.imaging.questions import Doubles, Question, questions
from models.imaging.subgroups import subgroups_of
from models.manifest import Manifest, Metric
from models.tasks.image_kind import UNHEARD_OF, ImageKindTask

_SEX_CODES = {"F": "female", "M": "male"}  # PatientSex, PS3.3 C.7.1.1
_FRONTAL = frozenset({"AP", "PA"})
_CHEST = "chest_xray"


@dataclass(frozen=True)
class ImagingRequest:
    """A decoded image and what is known of the patient; None where unknown.

    site: where on the body, one of `models.imaging.context.SITES`. kinds: what the gate says of
    the picture, from `ImageKindTask.finish`; None where there is no gate.
    """

    image: DecodedImage
    age_years: float | None = None
    sex: str | None = None
    site: str | None = None
    kinds: NDArray[np.float64] | None = None


class ImagingTask:
    """`Task[ImagingRequest, ImagingResult]` for one model of the repository.

    gate: the model that knows kinds of pictures, where the repository has it.
    """

    def __init__(self, manifest: Manifest, gate: ImageKindTask | None = None) -> None:
        self._manifest = manifest
        self._gate = gate
        self._spec = spec_of(manifest.preprocessing)
        self._questions = questions(manifest)
        self._takes_context = any(spec.name == "context" for spec in manifest.inputs)

    @property
    def model(self) -> str:
        """The model's name, which is the task's name too."""
        return self._manifest.name

    @property
    def manifest(self) -> Manifest:
        """What the model says of itself."""
        return self._manifest

    def seen(self, request: ImagingRequest) -> SeenBox:
        """The part of the picture that the network sees, which its map covers."""
        return seen_box(self._pixels(request), self._spec)

    def _pixels(self, request: ImagingRequest) -> Pixels:
        image, spec = request.image, self._spec
        if spec.window_width:
            units = hounsfield_window(image, spec.window_center, spec.window_width)
            if units is not None:
                return units
        return image.rgb if self._spec.channels == 3 and image.rgb is not None else image.pixels

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the network answers, the model's own question first."""
        return self._questions

    def refusals(self, request: ImagingRequest) -> tuple[Abstention, ...]:
        """Why this patient or picture must not be scored; empty when it may."""
        return self._refusals(request, self._quality(request))

    def _refusals(
        self, request: ImagingRequest, quality: tuple[QualityIssue, ...]
    ) -> tuple[Abstention, ...]:
        population, metadata = self._manifest.population, request.image.metadata
        found: list[Abstention] = [*self._age_refusals(request)]
        recorded_sex = _SEX_CODES.get(metadata.sex or "")
        if None not in (request.sex, recorded_sex) and request.sex != recorded_sex:
            found.append("sex_contradiction")
        surprise = self._surprise(request)
        if surprise is not None and not surprise <= 1.0:
            found.append("wrong_kind")
        modality, body_part = metadata.modality, metadata.body_part
        if modality and population.modalities and modality not in population.modalities:
            found.append("wrong_modality")
        if body_part and population.body_parts and body_part not in population.body_parts:
            found.append("wrong_body_part")
        view = metadata.view_position
        if population.image_kind == _CHEST and view is not None and view not in _FRONTAL:
            found.append("wrong_view")
        if self._spec.window_width and "hounsfield_unknown" in request.image.warnings:
            found.append("hounsfield_unknown")
        if metadata.burned_in:
            found.append("burned_in_text")
        if any(issue.fatal for issue in quality):
            found.append("unfit_image")
        return tuple(found)

    def _age_refusals(self, request: ImagingRequest) -> Iterable[Abstention]:
        population = self._manifest.population
        stated, recorded = request.age_years, request.image.metadata.age_years
        low, high = population.min_age_years, population.max_age_years
        ages = [age for age in (stated, recorded) if age is not None]
        if low is not None or high is not None:
            if not ages:
                yield "age_unknown"
            elif not all(_within(age, low, high) for age in ages):
                yield "age_outside_population"
        if contradict(stated, recorded):
            yield "age_contradiction"

    def age(self, request: ImagingRequest) -> float | None:
        """Age in years: the DICOM's where it has one, else the stated one."""
        recorded = request.image.metadata.age_years
        return request.age_years if recorded is None else recorded

    def sex(self, request: ImagingRequest) -> str | None:
        """`female` or `male`: the DICOM's where it has one, else the stated one."""
        return _SEX_CODES.get(request.image.metadata.sex or "") or request.sex

    def prepare(self, request: ImagingRequest) -> Tensors:
        """`image` float32 [1, C, S, S]; `context` [1, K] where the model takes one."""
        tensors = {"image": preprocess(self._pixels(request), self._spec)[None]}
        if self._takes_context:
            context = encode_context(self.age(request), self.sex(request), request.site)
            tensors["context"] = context[None]
        return tensors

    def finish(self, request: ImagingRequest, outputs: Tensors | None) -> ImagingResult:
        """The opinion; `outputs` None where `refusals` forbade a score."""
        quality = self._quality(request)
        abstained = list(self._refusals(request, quality))
        opinions: list[HeadOpinion] = []
        score = self.out_of_distribution(request, outputs)
        if outputs is not None and not abstained:
            if score is not None and not score <= 1.0:
                abstained.append("out_of_distribution")
            else:
                opinions = [_opinion(question, outputs) for question in self._questions]
                first = opinions[0]
                if first.coverage is not None and len(first.prediction_set) != 1:
                    abstained.append("undecided")
        manifest, metadata = self._manifest, request.image.metadata
        own = opinions[0] if opinions else None
        conformal = manifest.conformal
        return ImagingResult(
            label=DEVICE_LABEL,
            task=manifest.name,
            model_version=manifest.version,
            age_years=self.age(request),
            sex=self.sex(request),
            modality=metadata.modality,
            body_part=metadata.body_part,
            looks_like=self._looks_like(request),
            expected=self._expected(),
            probabilities=own.probabilities if own else (),
            prediction_set=own.prediction_set if own else (),
            coverage=None if conformal is None else conformal.coverage,
            operating_point=own.operating_point if own else None,
            also=tuple(opinions[1:]),
            subgroups=self._subgroups(request),
            abstained=tuple(abstained),
            explanations=tuple(ABSTENTIONS[reason] for reason in abstained),
            ood_score=None if score is None else round(score, 3),
            ood_threshold=None if score is None else 1.0,
            quality=tuple(
                Quality(code=i.code, value=round(i.value, 4), limit=i.limit, fatal=i.fatal)
                for i in quality
            ),
            warnings=request.image.warnings,
        )

    def out_of_distribution(self, request: ImagingRequest, outputs: Tensors | None) -> float | None:
        """How foreign the picture is: above 1 the model does not know such pictures.

        The larger of two ratios to their limits: the gate's surprise, and the distance of the
        network's features from those of its training images. None where neither is to be had.
        """
        if outputs is not None and not all(np.isfinite(o).all() for o in outputs.values()):
            return UNHEARD_OF  # a network that computes no number has no opinion
        ratios = []
        surprise = self._surprise(request)
        if surprise is not None:
            ratios.append(surprise)
        ood = self._manifest.ood
        if outputs is not None and ood is not None:
            ratios.append(float(ood_score(outputs["features"], ood)[0]) / ood.threshold)
        return float(np.max(ratios)) if ratios else None

    def saliency(self, outputs: Tensors) -> NDArray[np.float32]:
        """The map [h, w] of the first row, in logits: for the finding that the result speaks of.

        That is the operating point's finding where it is reached, else the label that answers,
        each against the mean of the labels that are not part of it.
        """
        maps = np.asarray(outputs["saliency"][0], dtype=np.float32)
        if maps.ndim == 2:  # one finding, yes or no: a network from elsewhere gives its map alone
            return maps
        first = self._questions[0]
        p = first.probabilities(outputs)
        shown = first.point.labels if first.point is not None else ()
        two = len(first.labels) == 2
        if first.point is None or not (two or first.point.positive(p)[0]):
            shown = (int(first.answers(p)[0]),)
        others = [i for i in range(len(first.labels)) if i not in shown]
        contrast: NDArray[np.float32] = maps[list(shown)].mean(axis=0) - maps[others].mean(axis=0)
        return contrast

    def _quality(self, request: ImagingRequest) -> tuple[QualityIssue, ...]:
        return check_quality(request.image, self._manifest.population.image_kind)

    def _surprise(self, request: ImagingRequest) -> float | None:
        kind = self._manifest.population.image_kind
        if self._gate is None or request.kinds is None or kind is None:
            return None
        return self._gate.surprise(request.kinds, kind)

    def _looks_like(self, request: ImagingRequest) -> tuple[LabelProbability, ...]:
        if self._gate is None or request.kinds is None:
            return ()
        return self._gate.named(request.kinds)

    def _expected(self) -> Bilingual | None:
        kind = self._manifest.population.image_kind
        label = None if self._gate is None or kind is None else self._gate.label(kind)
        return None if label is None else {"zh": label.zh, "en": label.en}

    def _subgroups(self, request: ImagingRequest) -> tuple[Subgroup, ...]:
        return tuple(
            Subgroup(group=group, metrics=_shown(self._manifest.metrics[f"subgroup/{group}"]))
            for group in subgroups_of(self.age(request), self.sex(request))
            if f"subgroup/{group}" in self._manifest.metrics
        )


def _opinion(question: Question, outputs: Tensors) -> HeadOpinion:
    p = question.probabilities(outputs)
    conformal, point = question.conformal, question.point
    return HeadOpinion(
        code=question.code,
        name=question.name,
        research_only=question.research_only,
        probabilities=tuple(
            LabelProbability(
                code=label.code,
                name={"zh": label.zh, "en": label.en},
                probability=round(float(value), 4),
            )
            for label, value in zip(question.labels, p[0], strict=True)
        ),
        prediction_set=()
        if conformal is None
        else tuple(question.codes[i] for i in np.flatnonzero(question.sets(p)[0])),
        coverage=None if conformal is None else conformal.coverage,
        operating_point=None if point is None else _operating_point(question, p),
    )


def _operating_point(question: Question, p: Doubles) -> OperatingPoint | None:
    point = question.point
    if point is None:
        return None
    wanted = {"sensitivity", "specificity"}
    if len(question.labels) == 2:
        wanted.add("auc")  # of more labels it is a mean over them, not this finding's
    return OperatingPoint(
        label=point.code,
        name=point.name,
        probability=round(float(point.score(p)[0]), 4),
        threshold=point.threshold,
        positive=bool(point.positive(p)[0]),
        measured=_shown({k: m for k, m in question.measured.items() if k in wanted}),
    )


def _shown(metrics: dict[str, Metric]) -> dict[str, dict[str, float | None]]:
    return {name: {"value": m.value, "low": m.low, "high": m.high} for name, m in metrics.items()}


def _within(value: float, low: float | None, high: float | None) -> bool:
    """Whole years of age: a child of 5 years and 11 months is 5."""
    return (low is None or value >= low) and (high is None or value < high + 1)
