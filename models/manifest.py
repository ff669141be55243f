"""The manifest beside every hosted model: what it is, eats, returns and may be used for.

One JSON file per version, `models/artifacts/NAME/VERSION/manifest.json`, written by the
trainers and trusted by nobody: loading validates it and checks every file's sha256.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MANIFEST_FILE = "manifest.json"

Runtime = Literal["onnxruntime", "torch"]
"""What runs a network: `model.onnx`, or the torch program `model.pt2` beside it."""
Precision = Literal["fp32", "bf16", "fp16"]
"""What a network multiplies in; sums are fp32 in each."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class TensorSpec(_Strict):
    """One input or output of the network; -1 stands for a dynamic axis, axis 0 is the batch."""

    name: str
    dtype: Literal["float32", "float16", "int64", "int32", "uint8", "bool"]
    shape: list[int]


class Label(_Strict):
    """One class: the code used in records and its names for people."""

    code: str
    zh: str
    en: str


class LabelGroup(_Strict):
    """Labels that stand together for one yes or no: referable retinopathy is grades 2 to 4."""

    code: str
    zh: str
    en: str
    labels: list[str]


class Calibration(_Strict):
    """Temperature scaling (Guo et al. 2017): probabilities = softmax(logits / temperature)."""

    temperature: float = Field(gt=0, default=1.0)


class Conformal(_Strict):
    """Split-conformal prediction sets.

    A label is in the set when its non-conformity score (1 - probability for method `lac`)
    is at most `quantile`; `coverage` is the stated marginal coverage.
    """

    method: Literal["lac", "aps"] = "lac"
    coverage: float = Field(gt=0, lt=1)
    quantile: float


class OutOfDistribution(_Strict):
    """How far an input lies from the training data, and where we stop answering.

    `statistics` holds the numbers of the method: for `mahalanobis`, `mean` (D) and
    `precision` (D x D, row-major) of the pooled features; for `energy`, nothing. A score
    above `threshold` abstains.
    """

    method: Literal["mahalanobis", "energy"]
    threshold: float
    statistics: dict[str, list[float]] = Field(default_factory=dict)


class Head(_Strict):
    """A further output of the network, read like the first: its own labels and calibration.

    `output` names the tensor of its logits, `column` the column of a set's labels that holds its
    truth (empty: one that is named like `code`). A `research_only` head never decides anything and
    says so wherever it is shown.
    """

    code: str
    zh: str
    en: str
    output: str
    column: str = ""
    labels: list[Label]
    groups: list[LabelGroup] = Field(default_factory=list)
    calibration: Calibration = Calibration()
    thresholds: dict[str, float] = Field(default_factory=dict)
    conformal: Conformal | None = None
    answer_weights: list[float] = Field(default_factory=list)
    research_only: bool = False


BENCHMARK_ONLY = "benchmark_only"
"""The kind of picture of a model for benchmarks alone: no gate knows it, no server hosts it."""


class Population(_Strict):
    """Whom the model learned from: outside of it, it gives no score.

    `image_kind` is a label of the gate model `image_kind` (models/tasks/image_kind.py), or
    `BENCHMARK_ONLY`.
    """

    image_kind: str | None = None

    min_age_years: float | None = None
    max_age_years: float | None = None
    modalities: list[str] = Field(default_factory=list)
    body_parts: list[str] = Field(default_factory=list)


class TrainingSet(_Strict):
    """A data set that the weights were learned from.

    `licence` is an SPDX identifier where one exists, `none stated` where the source names none.
    """

    name: str
    rows: int
    licence: str
    commercial_use: Literal["allowed", "forbidden", "not stated"]
    source: str


class PrecisionParity(_Strict):
    """How the network of another runtime or precision differs from the ONNX file in fp32.

    `max_difference` is the largest of all outputs, relative to an output's largest magnitude
    where that is above 1; `decisions_changed` counts rows with another answer
    (`models.backends.parity`).
    """

    runtime: Literal["torch", "tensorrt"]
    precision: Precision
    device: Literal["cpu", "cuda"]
    max_difference: float = Field(ge=0, allow_inf_nan=False)
    decisions_changed: int = Field(ge=0)
    rows: int = Field(ge=1)

    @property
    def holds(self) -> bool:
        """Whether thresholds and calibration measured on the ONNX file hold here, too."""
        return self.max_difference <= 1e-2 and self.decisions_changed == 0


class Metric(_Strict):
    """A measured number, with its 95 % interval where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None


class Manifest(_Strict):
    """See the module docstring. `files` maps each file beside the manifest to its sha256.

    `answer_weights`: one per label, by which probabilities are multiplied before the largest
    answers; none means 1 for each. `column`: see `Head`.
    `measured_on`: the pictures behind the metrics `dev` of an imaging model: a part that only
    reports, the held-out folds, or what was held out for the calibration too.
    `backend`: what runs the network where the operator says nothing else. `length_buckets`: the
    lengths that texts are padded to where shapes must not vary (CUDA graphs), ascending.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")
    version: int = Field(ge=1)
    task: Literal[
        "acuity",
        "department",
        "dialogue_status",
        "embedding",
        "entities",
        "image_kind",
        "imaging",
        "intent",
        "relevance",
        "reranker",
        "synthetic",
        "urgency",
    ]
    title: dict[Literal["zh", "en"], str]
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    column: str = ""
    labels: list[Label] = Field(default_factory=list)
    groups: list[LabelGroup] = Field(default_factory=list)
    heads: list[Head] = Field(default_factory=list)
    preprocessing: dict[str, float | int | str | bool] = Field(default_factory=dict)
    calibration: Calibration = Calibration()
    thresholds: dict[str, float] = Field(default_factory=dict)
    conformal: Conformal | None = None
    answer_weights: list[float] = Field(default_factory=list)
    ood: OutOfDistribution | None = None
    languages: list[Literal["zh", "en"]] = Field(default_factory=list)
    population: Population = Population()
    training_sets: list[TrainingSet]
    measured_on: Literal["dev", "cross-validation", "held-out"] = "dev"
    metrics: dict[str, dict[str, Metric]] = Field(default_factory=dict)
    parity: dict[str, float] = Field(default_factory=dict)
    backend: Runtime = "onnxruntime"
    length_buckets: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    precisions: list[PrecisionParity] = Field(default_factory=list)
    files: dict[str, str]
    notes: list[str] = Field(default_factory=list)

    @property
    def benchmark_only(self) -> bool:
        """Whether the model is measured beside published figures, and never hosted."""
        return self.population.image_kind == BENCHMARK_ONLY

    @property
    def knows_its_pictures(self) -> bool:
        """False for an imaging model that would answer any picture.

        What refuses pictures of another kind is the gate, which must be told the kind, or the
        distance from the training images. A modality does not: a PNG has none.
        """
        judged = self.population.image_kind is not None or self.ood is not None
        return judged or self.task != "imaging"

    @property
    def noncommercial(self) -> bool:
        """True when any training set forbids commercial use."""
        return any(s.commercial_use == "forbidden" for s in self.training_sets)

    @property
    def licence_notes(self) -> list[str]:
        """What an operator must know about the data behind the weights, one line per set."""
        return [
            f"{s.name}: {s.licence} (commercial use {s.commercial_use})"
            for s in self.training_sets
            if s.commercial_use != "allowed"
        ]


def read_manifest(folder: Path) -> Manifest:
    """Read and validate `folder/manifest.json`; raises pydantic.ValidationError or OSError."""
    return Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in the one format that diffs well."""
    text = manifest.model_dump_json(indent=1, exclude_none=True)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
