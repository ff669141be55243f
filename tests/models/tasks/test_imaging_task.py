"""The imaging task with the shipped models: who is refused and why, what a score comes with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.backends.onnx import OnnxBackend
from models.imaging.decode import DecodedImage, DicomMetadata, colour_spread
from models.imaging.opinion import ImagingResult
from models.manifest import Conformal, Head
from models.repository import ModelRepository
from models.tasks.image_kind import ImageKindTask
from models.tasks.imaging import ImagingRequest, ImagingTask
from tests.models.imaging.zips import pictures

REPOSITORY = ModelRepository(allow_noncommercial=True)
CHEST, PATCH = REPOSITORY.get("cxr_pneumonia"), REPOSITORY.get("ct_nodule")
GATE = REPOSITORY.get("image_kind_skin")


@pytest.fixture(scope="module")
def gate() -> tuple[ImageKindTask, OnnxBackend]:
    return ImageKindTask(GATE.manifest), OnnxBackend(GATE.network)


def photo(side: int = 150) -> DecodedImage:
    """A page of words on a coloured ground."""
    page = Image.new("RGB", (side, side), (200, 220, 160))
    draw = ImageDraw.Draw(page)
    for y in range(8, side - 12, 14):
        draw.text((8, y), "please bring your card", fill=(20, 20, 90), font_size=11)
    rgb = np.asarray(page)
    grey = rgb.astype(np.float32).mean(axis=2) / np.float32(255)
    return DecodedImage(grey, "png", colour=colour_spread(rgb), rgb=rgb)


def read(
    task: ImagingTask, network: OnnxBackend, gate: tuple[ImageKindTask, OnnxBackend],
    request: ImagingRequest,
) -> ImagingResult:  # fmt: skip
    kinds = gate[0].finish(request.image, gate[1].run(gate[0].prepare(request.image)))
    asked = replace(request, kinds=kinds)
    refused = task.refusals(asked)
    return task.finish(asked, None if refused else network.run(task.prepare(asked)))


def test_a_page_of_text_is_refused_with_what_was_expected(
    gate: tuple[ImageKindTask, OnnxBackend],
) -> None:
    task = ImagingTask(PATCH.manifest, gate[0])
    result = read(task, OnnxBackend(PATCH.network), gate, ImagingRequest(photo()))
    assert "wrong_kind" in result.abstained
    assert result.expected is not None
    assert "CT" in result.expected["en"]
    assert result.looks_like[0].code == "other"
    assert result.probabilities == ()
    assert result.ood_score is not None
    assert result.ood_score > 1.0


def test_a_header_of_another_modality_or_view_is_refused() -> None:
    task = ImagingTask(CHEST.manifest)
    blank = DecodedImage(np.zeros((200, 200), np.float32), "dicom")
    for metadata, reason in (
        (DicomMetadata(age_years=3, modality="MR"), "wrong_modality"),
        (DicomMetadata(age_years=3, modality="DX", body_part="KNEE"), "wrong_body_part"),
        (DicomMetadata(age_years=3, modality="DX", view_position="LL"), "wrong_view"),
        (DicomMetadata(age_years=3, modality="DX", burned_in=True), "burned_in_text"),
        (DicomMetadata(age_years=33, modality="DX"), "age_outside_population"),
        (DicomMetadata(modality="DX"), "age_unknown"),
    ):
        request = ImagingRequest(replace(blank, metadata=metadata))
        assert reason in task.refusals(request)


def test_the_age_that_the_file_states_counts_before_the_typed_one() -> None:
    task = ImagingTask(CHEST.manifest)
    image = DecodedImage(
        np.zeros((200, 200), np.float32), "dicom", DicomMetadata(age_years=33.0, sex="F")
    )
    request = ImagingRequest(image, age_years=3.0, sex="male")
    assert task.age(request) == 33.0
    assert task.sex(request) == "female"
    refused = {"age_outside_population", "age_contradiction", "sex_contradiction"}
    assert refused <= set(task.refusals(request))


def test_two_sexes_that_agree_or_are_not_known_contradict_nothing() -> None:
    task = ImagingTask(CHEST.manifest)
    image = DecodedImage(np.zeros((200, 200), np.float32), "dicom")
    for recorded, stated in (
        ("F", "female"),
        ("M", "male"),
        ("O", "male"),
        (None, "female"),
        ("F", None),
    ):
        metadata = DicomMetadata(age_years=3.0, sex=recorded)
        request = ImagingRequest(replace(image, metadata=metadata), sex=stated)
        assert "sex_contradiction" not in task.refusals(request)


@pytest.mark.data
def test_the_mean_auc_of_seven_kinds_is_not_shown_as_one_of_them(
    data_dir: Path, gate: tuple[ImageKindTask, OnnxBackend]
) -> None:
    skin = REPOSITORY.get("skin_lesion")
    task, network = ImagingTask(skin.manifest, gate[0]), OnnxBackend(skin.network)
    found = [
        read(task, network, gate, ImagingRequest(image))
        for image in pictures(data_dir / "imaging" / "skin_ham10000.dev.zip", 8)
    ]
    points = [r.operating_point for r in found if r.operating_point is not None]
    assert points
    assert all(set(point.measured) == {"sensitivity", "specificity"} for point in points)


@pytest.mark.data
def test_a_patch_gets_an_opinion_with_all_that_qualifies_it(
    data_dir: Path, gate: tuple[ImageKindTask, OnnxBackend]
) -> None:
    task, network = ImagingTask(PATCH.manifest, gate[0]), OnnxBackend(PATCH.network)
    found = [
        read(task, network, gate, ImagingRequest(image))
        for image in pictures(data_dir / "imaging" / "ct_nodule.dev.zip", 40)
    ]
    scored = [result for result in found if result.probabilities]
    assert len(scored) >= 38
    for result in scored:
        assert sum(p.probability for p in result.probabilities) == pytest.approx(1.0, abs=1e-3)
        assert result.operating_point is not None
        assert set(result.operating_point.measured) == {"auc", "sensitivity", "specificity"}
        assert result.coverage == 0.9
        assert result.ood_score is not None
        assert result.ood_score <= 1.0
        assert "device function" in result.label["en"]
        assert ("undecided" in result.abstained) == (len(result.prediction_set) != 1)


@pytest.mark.data
@pytest.mark.parametrize("file", ["skin_ham10000.dev.zip", "fundus_idrid.train.zip"])
def test_other_tasks_pictures_get_no_chest_opinion(
    data_dir: Path, gate: tuple[ImageKindTask, OnnxBackend], file: str
) -> None:
    task, network = ImagingTask(CHEST.manifest, gate[0]), OnnxBackend(CHEST.network)
    for image in pictures(data_dir / "imaging" / file, 12):
        result = read(task, network, gate, ImagingRequest(image, age_years=3))
        assert "wrong_kind" in result.abstained
        assert result.ood_score is not None
        assert result.ood_score > 1.0


def test_the_map_speaks_of_the_finding_when_its_threshold_is_reached() -> None:
    task = ImagingTask(PATCH.manifest)
    maps = np.stack([np.zeros((8, 8)), np.ones((8, 8))])[None].astype(np.float32)
    outputs = {"logits": np.array([[3.0, -3.0]], np.float32), "saliency": maps}
    np.testing.assert_allclose(task.saliency(outputs), 1.0)


def test_a_research_head_is_read_and_never_makes_the_opinion_undecided() -> None:
    head = Head(
        code="kind", zh="类型", en="kind", output="logits_kind",
        labels=PATCH.manifest.labels, conformal=Conformal(coverage=0.9, quantile=0.99),
        research_only=True,
    )  # fmt: skip
    task = ImagingTask(PATCH.manifest.model_copy(update={"heads": [head], "ood": None}))
    patch = np.random.default_rng(0).uniform(0, 1, (50, 50)).astype(np.float32)
    outputs = {
        "logits": np.array([[6.0, -6.0]], np.float32),
        "logits_kind": np.array([[0.0, 0.0]], np.float32),
    }
    result = task.finish(ImagingRequest(DecodedImage(patch, "png")), outputs)
    assert result.abstained == ()
    assert [(h.code, h.research_only) for h in result.also] == [("kind", True)]
    assert result.also[0].prediction_set == ("no_nodule", "nodule")
    assert result.prediction_set == ("no_nodule",)


def test_numbers_that_are_none_get_no_opinion(gate: tuple[ImageKindTask, OnnxBackend]) -> None:
    patch = np.random.default_rng(0).uniform(0, 1, (50, 50)).astype(np.float32)
    request = ImagingRequest(DecodedImage(patch, "png"), kinds=np.array([0, 0, 1.0, 0, 0])[:5])
    task = ImagingTask(PATCH.manifest)
    features = np.full((1, PATCH.manifest.outputs[-2].shape[1]), np.nan, np.float32)
    outputs = {"logits": np.array([[6.0, -6.0]], np.float32), "features": features}
    result = task.finish(request, outputs)
    assert result.abstained == ("out_of_distribution",)
    assert result.probabilities == ()
    unsure = ImagingTask(PATCH.manifest, gate[0])
    broken = replace(request, kinds=np.full(len(GATE.manifest.labels), np.nan))
    assert "wrong_kind" in unsure.refusals(broken)


def test_two_ages_must_both_be_of_the_population() -> None:
    image = DecodedImage(np.zeros((200, 200), np.float32), "dicom", DicomMetadata(age_years=5.5))
    refused = ImagingTask(CHEST.manifest).refusals(ImagingRequest(image, age_years=6.4))
    assert "age_outside_population" in refused


def test_a_ct_is_read_in_the_window_that_the_network_knows_and_never_in_unknown_units() -> None:
    task = ImagingTask(PATCH.manifest)
    ramp = np.linspace(-1000, 400, 64 * 64).reshape(64, 64)
    metadata = DicomMetadata(modality="CT", body_part="CHEST")
    patch = DecodedImage(np.zeros((64, 64), np.float32), "dicom", metadata=metadata)
    known = replace(patch, hounsfield=ramp.astype(np.int16))
    same = DecodedImage(np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64), "png")
    np.testing.assert_allclose(
        task.prepare(ImagingRequest(known))["image"],
        task.prepare(ImagingRequest(same))["image"],
        atol=0.01,
    )
    unknown = replace(patch, warnings=("hounsfield_unknown",))
    assert "hounsfield_unknown" in task.refusals(ImagingRequest(unknown))
    assert "hounsfield_unknown" not in task.refusals(ImagingRequest(known))
