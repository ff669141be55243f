"""The structured report says what the record says, in codes, and who is answerable for it."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from highdicom.sr import ComprehensiveSR, srread
from highdicom.sr.utils import find_content_items
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from serving.reports.structured_report import structured_report
from serving.reports.study import ReportedStudy, reported_study
from serving.reviews.signatures import Signature
from serving.storage.codes import OverrideReason
from tests.serving.reports.studies import (
    INSTANCE,
    kept_header,
    override,
    recorded,
    refused,
    scored,
    signature,
    study,
)


def read(of: ReportedStudy) -> ComprehensiveSR:
    report = srread(io.BytesIO(structured_report(of)))
    assert isinstance(report, ComprehensiveSR)
    return report


def texts(report: Dataset) -> list[str]:
    return [
        item.TextValue for item in find_content_items(report, value_type="TEXT", recursive=True)
    ]


def codes_of(report: Dataset, name: str) -> list[tuple[str, str]]:
    """Scheme and code of every CODE item under a private name."""
    items = find_content_items(report, value_type="CODE", recursive=True)
    values = (item.ConceptCodeSequence[0] for item in items if item.name.value == name)
    return [(v.CodingSchemeDesignator, v.get("CodeValue") or v.LongCodeValue) for v in values]


def numbers(report: Dataset, name: str) -> list[float]:
    items = find_content_items(report, value_type="NUM", recursive=True)
    return [item.value for item in items if item.name.value == name]


def test_it_is_a_measurement_report_by_the_device_that_made_it() -> None:
    report = read(study())
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (observer,) = report.content.get_observer_contexts(observer_type=codes.DCM.Device)
    device = observer.observer_identifying_attributes
    assert device.name == "Fenzhen cxr_pneumonia 1"
    assert (report.Manufacturer, report.SoftwareVersions) == ("Fenzhen", "1")


def test_every_label_has_its_probability_in_percent_and_its_code() -> None:
    group = read(study()).content.get_image_measurement_groups()[0]
    certainties = group.get_measurements(name=codes.DCM.CertaintyOfFinding)
    assert [(m.value, m.unit.value) for m in certainties] == [(6.6, "%"), (93.4, "%")]
    labels = [m[0].ContentSequence[0].ConceptCodeSequence[0] for m in certainties]
    assert labels[0].CodingSchemeDesignator == "99FENZHEN"
    assert labels[0].LongCodeValue == "cxr_pneumonia:normal"
    assert (labels[1].CodingSchemeDesignator, labels[1].CodeValue) == ("SCT", "233604007")


def test_prediction_set_operating_point_and_doubts_are_coded() -> None:
    report = read(study())
    assert codes_of(report, "in_set")[0] == ("SCT", "233604007")
    assert codes_of(report, "op_result") == [("SCT", codes.SCT.Positive.value)]
    items = find_content_items(report, value_type="CODE", recursive=True)
    (result,) = (item for item in items if item.name.value == "op_result")
    assert result.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Pneumonia"
    assert numbers(report, "op_threshold") == [59.7]
    assert numbers(report, "sensitivity") == [97.0]
    assert numbers(report, "specificity") == [93.0]
    assert numbers(report, "ood_score") == [12.5]
    assert numbers(report, "limit") == [108.5, 0.35]
    assert codes_of(report, "quality_issue") == [("99FENZHEN", "quality:over_exposed")]


def test_a_picture_without_a_score_says_why_in_code_and_in_both_languages() -> None:
    report = read(study(None, refused()))
    assert codes_of(report, "abstained") == [("99FENZHEN", "abstained:age_unknown")]
    assert numbers(report, codes.DCM.CertaintyOfFinding.value) == []
    said = "\n".join(texts(report))
    assert "年龄未知" in said
    assert "Age unknown" in said


def test_each_picture_and_question_has_a_group_that_points_to_its_picture() -> None:
    report = read(study(None, scored(), refused()))
    groups = report.content.get_image_measurement_groups()
    assert [g.tracking_identifier for g in groups] == [
        "cxr_pneumonia, image 1",
        "cxr_pneumonia.kind, image 1",
        "cxr_pneumonia, image 2",
    ]
    sources = [g.source_images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for g in groups]
    assert sources[0] == sources[1] != sources[2]


def test_what_is_for_research_only_says_so() -> None:
    group = read(study()).content.get_image_measurement_groups()[1]
    said = [i.TextValue for i in find_content_items(group[0], value_type="TEXT")]
    assert "Research only: never a reason for a treatment." in said


def test_a_dicom_upload_is_referenced_as_it_is_kept() -> None:
    report = read(study(None, scored(), instances=(INSTANCE,)))
    assert report.StudyInstanceUID == INSTANCE["study_uid"]
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == INSTANCE["series_uid"]
    reference = evidence.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == INSTANCE["sop_uid"]
    assert reference.ReferencedSOPClassUID == INSTANCE["sop_class_uid"]
    assert not any("names it" in text for text in texts(report))


def test_it_belongs_to_the_same_pseudonym_as_the_instance_that_is_kept() -> None:
    headers = {str(INSTANCE["sop_uid"]): kept_header()}
    of = study(None, scored(), instances=(INSTANCE,), headers=headers)
    assert read(of).PatientID == "A1B2C3D4E5F60718"
    assert "Annex E" in read(of).DeidentificationMethod


@pytest.mark.parametrize("retired", ["1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.5"])
def test_a_picture_of_a_retired_class_is_reported(retired: str) -> None:
    report = read(study(None, scored(), instances=(INSTANCE | {"sop_class_uid": retired},)))
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPClassUID == retired


def test_an_age_above_ninety_is_not_told() -> None:
    assert read(study(None, scored(age_years=97.0))).PatientAge == "090Y"


def test_frames_of_one_instance_are_told_apart() -> None:
    frames = tuple(INSTANCE | {"frame": number} for number in (1, 2))
    report = read(study(None, scored(also=()), scored(also=()), instances=frames))
    groups = report.content.get_image_measurement_groups()
    references = [g.source_images[0].ReferencedSOPSequence[0] for g in groups]
    assert [r.ReferencedFrameNumber for r in references] == [1, 2]


def test_an_upload_that_was_no_dicom_object_says_that_the_reference_is_a_name() -> None:
    assert "The upload was no DICOM object: the reference only names it." in texts(read(study()))


def test_until_a_physician_signs_it_is_preliminary_and_unverified() -> None:
    report = read(study())
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert "VerifyingObserverSequence" not in report
    said = texts(report)
    assert "AI-generated content. Preliminary: no physician has signed." in said
    assert any("device function" in text for text in said)
    assert any('"AIGC"' in text for text in said)


def test_a_signed_report_is_verified_by_name_and_replaces_the_preliminary_one() -> None:
    before, after = read(study()), read(study(signature()))
    assert (after.PreliminaryFlag, after.VerificationFlag) == ("FINAL", "VERIFIED")
    observer = after.VerifyingObserverSequence[0]
    assert observer.VerifyingObserverName.ideographic == "王小明^"
    assert str(observer.VerificationDateTime) == "20261122093000.000000+0000"
    predecessor = after.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    named = predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == before.SOPInstanceUID != after.SOPInstanceUID
    assert "AI-generated content. Signed by 王小明." in texts(after)


def test_a_signed_report_names_the_hospital_where_the_settings_do() -> None:
    named = srread(io.BytesIO(structured_report(study(signature()), organization="儿童医院")))
    assert named.VerifyingObserverSequence[0].VerifyingOrganization == "儿童医院"
    plain = read(study(signature()))
    assert plain.VerifyingObserverSequence[0].VerifyingOrganization == "Not recorded"


def test_an_override_says_what_the_physician_saw_instead() -> None:
    said = texts(read(study(override())))
    assert (
        "AI-generated content. 王小明 decided otherwise (A finding was read wrongly). "
        "The physician's opinion: no sign of pneumonia." in said
    )
    assert "医生的说明：双肺清晰" in said


def test_the_same_decision_gives_the_same_bytes() -> None:
    for signed in (None, signature(), override()):
        assert structured_report(study(signed)) == structured_report(study(signed))


def test_times_are_those_of_the_record() -> None:
    report = read(study())
    assert (report.ContentDate, str(report.ContentTime)) == ("20261122", "080102.345678")
    assert report.TimezoneOffsetFromUTC == "+0000"
    equipment = report.ContributingEquipmentSequence[-1]
    assert str(equipment.ContributionDateTime).startswith("20261122080102")


def test_no_identity_is_made_up() -> None:
    report = read(study(None, scored(), instances=(INSTANCE,)))
    assert (str(report.PatientName), report.PatientID, report.PatientBirthDate) == ("", "", "")
    assert (report.PatientAge, report.PatientSex) == ("003Y", "F")
    assert report.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(
    "name", ["^^=\\=", "A" * 200, "李\x00\x1b雷 ^=\\", "\ud800x", " "], ids=ascii
)
def test_a_hostile_name_or_comment_never_breaks_the_report(name: str) -> None:
    signed = override(
        reader_name=name,
        comment=f"{name} 双肺清晰",
        corrected_label=name,
        reason_code=OverrideReason.OTHER,
    )
    report = read(study(signed))
    shown = str(report.VerifyingObserverSequence[0].VerifyingObserverName)
    assert "\\" not in shown
    assert max(len(group) for group in shown.split("=")) <= 64
    assert any("双肺清晰" in text for text in texts(report))


def test_a_study_that_no_model_read_claims_no_ai() -> None:
    unread = refused(task="none", model_version=0, abstained=("no_model",))
    report = read(study(None, unread, models={}))
    said = "\n".join(texts(report))
    assert "No model has analysed these pictures." in said
    assert "AIGC" not in said
    assert "ManufacturerModelName" not in report


def test_a_record_from_before_instances_were_kept_is_reported() -> None:
    old = recorded(refused())
    images: Any = old.input["images"]
    for image in images:
        del image["instance"]
    assert read(reported_study(old, None)).StudyInstanceUID


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
@pytest.mark.parametrize("signed", [None, signature(), override()], ids=["new", "signed", "other"])
def test_the_standards_own_checker_finds_no_error(signed: Signature | None, tmp_path: Path) -> None:
    file = tmp_path / "report.dcm"
    file.write_bytes(structured_report(study(signed, scored(), refused())))
    assert dcmread(file).Modality == "SR"
    found = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []
