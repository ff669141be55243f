"""What a physician gets for one image: the second opinion with everything that qualifies it.

Shapes only, shared by the task that makes it and by whatever shows, stores or exports it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from knowledge_base.language import Bilingual
from models.imaging.ages import kept_age

Abstention = Literal[
    "no_model",
    "age_unknown",
    "age_outside_population",
    "age_contradiction",
    "sex_contradiction",
    "wrong_kind",
    "wrong_modality",
    "wrong_body_part",
    "wrong_view",
    "hounsfield_unknown",
    "burned_in_text",
    "unfit_image",
    "out_of_distribution",
    "undecided",
]
ABSTENTIONS: dict[Abstention, Bilingual] = {
    "no_model": {
        "zh": "此处没有适用于该影像的模型，未作分析，请医生判读。",
        "en": "No model here reads this kind of image: it was not analysed. "
        "Please read it yourself.",
    },
    "age_unknown": {
        "zh": "年龄未知：模型只学过特定年龄的影像，不给出评分。",
        "en": "Age unknown: the model knows one age group only and gives no score.",
    },
    "age_outside_population": {
        "zh": "年龄超出模型适用范围，不给出评分。",
        "en": "The age is outside of the model's population: no score is given.",
    },
    "age_contradiction": {
        "zh": "填写的年龄与DICOM中的年龄不符，不给出评分。",
        "en": "The stated age and the age in the DICOM differ: no score is given.",
    },
    "sex_contradiction": {
        "zh": "填写的性别与DICOM中的性别不符，不给出评分，请核对是否同一患者。",
        "en": "The stated sex and the sex in the DICOM differ: no score is given. "
        "Is it the same patient?",
    },
    "wrong_kind": {
        "zh": "这不像模型所需的那类影像。",
        "en": "This does not look like the kind of image that the model reads.",
    },
    "wrong_modality": {
        "zh": "影像类型不是模型所需的类型。",
        "en": "This modality is not the one that the model reads.",
    },
    "wrong_body_part": {
        "zh": "检查部位不是模型所需的部位。",
        "en": "This body part is not the one that the model reads.",
    },
    "wrong_view": {
        "zh": "投照体位不是正位。",
        "en": "This is not a frontal view.",
    },
    "hounsfield_unknown": {
        "zh": "CT 未说明如何换算为 HU，模型无法得到所需窗位的图像，不给出评分。",
        "en": "The CT does not say how its values become HU, which the model needs: no score.",
    },
    "burned_in_text": {
        "zh": "图像中标明含有烧录文字，可能含个人信息，不作评分。",
        "en": "The file says that text is burned into the picture: it may name somebody.",
    },
    "unfit_image": {
        "zh": "图像质量不足以判读。",
        "en": "The picture is not fit to be read.",
    },
    "out_of_distribution": {
        "zh": "图像与训练数据差异过大，模型不作判断。",
        "en": "The picture is too unlike the training images: the model gives no opinion.",
    },
    "undecided": {
        "zh": "模型无法区分，请医生判断。",
        "en": "The model cannot tell: please decide by yourself.",
    },
}
TEXT_WARNINGS = frozenset({"text_in_picture", "text_in_left_out_frame"})
"""Warnings of the result: letters were found in the pixels, and a person has to look."""
DEVICE_LABEL: Bilingual = {
    "zh": "影像分析属于医疗器械功能；结果为初步意见，医生签字前不得发布给患者。",
    "en": "Image analysis is a device function. Preliminary: not for release to the patient "
    "before a physician has signed.",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class LabelProbability(_Frozen):
    """One class with its calibrated probability."""

    code: str
    name: Bilingual
    probability: float


class OperatingPoint(_Frozen):
    """A shipped threshold, whether it is reached, and what was measured at it (95 % intervals).

    label: code of a label or of a group of labels (`referable`). probability: the calibrated
    probability that is compared; None in records of before it was kept.
    """

    label: str
    name: Bilingual | None = None
    probability: float | None = None
    threshold: float
    positive: bool
    measured: dict[str, dict[str, float | None]]


class Quality(_Frozen):
    """One issue of the picture: the number measured and the limit it broke."""

    code: str
    value: float
    limit: float
    fatal: bool


class HeadOpinion(_Frozen):
    """A further question that the same network answers: macular-oedema risk, kind of pneumonia.

    `research_only` answers are never a reason for anything, a treatment least of all.
    """

    code: str
    name: Bilingual
    research_only: bool
    probabilities: tuple[LabelProbability, ...]
    prediction_set: tuple[str, ...]
    coverage: float | None
    operating_point: OperatingPoint | None


class Subgroup(_Frozen):
    """What the card says of patients like this one: group, number, metrics with intervals."""

    group: str
    metrics: dict[str, dict[str, float | None]]


class ImagingResult(_Frozen):
    """A second opinion. Without a score (`abstained` not empty) there may be no probabilities.

    looks_like: what the gate model takes the picture for, most probable first; empty without a
    gate. expected: the kind of image that the task reads. ood_score: above `ood_threshold` the
    model does not know such pictures. age_years: as `kept_age` has it, for a result is kept.
    """

    label: Bilingual
    status: Literal["preliminary"] = "preliminary"
    task: str
    model_version: int
    age_years: Annotated[float | None, AfterValidator(kept_age)]
    sex: str | None = None
    modality: str | None
    body_part: str | None
    looks_like: tuple[LabelProbability, ...] = ()
    expected: Bilingual | None = None
    probabilities: tuple[LabelProbability, ...]
    prediction_set: tuple[str, ...]
    coverage: float | None
    operating_point: OperatingPoint | None
    also: tuple[HeadOpinion, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    abstained: tuple[Abstention, ...]
    explanations: tuple[Bilingual, ...]
    ood_score: float | None
    ood_threshold: float | None
    quality: tuple[Quality, ...]
    warnings: tuple[str, ...]
