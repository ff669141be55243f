"""An imaging study as a DICOM structured report: Comprehensive SR, TID 1500 Measurement Report.

One measurement group (TID 1501) per picture and question: the probability of each label as
`Certainty of Finding` (111012, DCM) with the label as its modifier, the prediction set, the
operating point; with the task's own question also the score for unknown pictures, what is wrong
with the picture and why no opinion was given. UNVERIFIED and PRELIMINARY until a physician has
signed; the signed report is a new instance that names the preliminary one as its predecessor.
PS3.16 has the templates: https://dicom.nema.org/medical/dicom/current/output/html/part16.html
"""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage

from serving.reports import concepts, wording
from serving.reports.dicom_common import (
    CHARACTER_SET,
    MANUFACTURER,
    copy_identity,
    date_time,
    person_name,
    source_dataset,
    stamp,
    to_bytes,
)
from serving.reports.identifiers import dicom_uid
from serving.reports.measurement_groups import measurement_group, text_item
from serving.reports.study import ReportedStudy

SERIES_NUMBER = 9001
UNKNOWN_ORGANIZATION = "Not recorded"
"""The verifying organization must have a value (PS3.3, C.17.2)."""
_QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_ENGLISH = CodedConcept("en", "RFC5646", "English")


class _Report(ComprehensiveSR):
    """The library finds attributes by SOP class and knows no retired one; pictures may have any."""

    def copy_patient_and_study_information(self, dataset: Dataset) -> None:
        copy_identity(dataset, self)


def structured_report(study: ReportedStudy, *, organization: str = UNKNOWN_ORGANIZATION) -> bytes:
    """The report as a DICOM file. `organization`: for whom its signer verified it."""
    sources = [source_dataset(study, image) for image in study.images]
    signature, at = study.signature, study.issued_at
    report = _Report(
        evidence=sources,
        content=_content(study)[0],
        series_instance_uid=dicom_uid(study.decision_id, "reports"),
        series_number=SERIES_NUMBER,
        series_description="AI second opinion",
        sop_instance_uid=_instance_uid(study.decision_id, study.revision),
        instance_number=1 if signature is None else 2,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.model if study.analysed else None,
        software_versions=study.model_version if study.analysed else None,
        is_complete=True,
        is_final=signature is not None,
        is_verified=signature is not None,
        verifying_observer_name=None if signature is None else person_name(signature.reader_name),
        verifying_organization=None if signature is None else organization,
        previous_versions=None if signature is None else [_predecessor(study, sources[0])],
        coding_schemes=[_scheme()],
        content_date=at.date(),
        content_time=at.time(),
        specific_character_set=CHARACTER_SET,
    )
    stamp(report, study)
    if signature is not None:
        report.VerifyingObserverSequence[0].VerificationDateTime = date_time(at)
    return to_bytes(report)


def _content(study: ReportedStudy) -> MeasurementReport:
    groups = [
        measurement_group(study, image, question)
        for image in study.images
        for question in image.questions
    ]
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_device(study)),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(_ENGLISH),
    )
    words = ContainerContentItem(
        name=_QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS
    )
    words.ContentSequence = ContentSequence([*_statements(study)])
    report[0].ContentSequence.append(words)
    return report


def _device(study: ReportedStudy) -> ObserverContext:
    name = f"{MANUFACTURER} {study.model} {study.model_version}" if study.analysed else MANUFACTURER
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=dicom_uid("model", study.model, study.model_version),
            name=name,
            manufacturer_name=MANUFACTURER,
            model_name=study.model if study.analysed else None,
        ),
    )


def _statements(study: ReportedStudy) -> Iterator[TextContentItem]:
    """What the reader must know first: AI content, whose signature, what kind of device."""
    label = study.images[0].result.label
    for language in wording.LANGUAGES:
        yield text_item(codes.DCM.Conclusion, wording.status_line(study, language), language)
        if (comment := wording.comment_line(study, language)) is not None:
            yield text_item(codes.DCM.Comment, comment, language)
        yield text_item(codes.DCM.Comment, label[language], language)
    if study.analysed:
        yield text_item(codes.DCM.Comment, wording.content_label(study), "en")


def _instance_uid(decision_id: str, revision: str) -> str:
    return dicom_uid(decision_id, "report", revision)


def _predecessor(study: ReportedStudy, source: Dataset) -> Dataset:
    before = Dataset()
    before.SOPClassUID = ComprehensiveSRStorage
    before.SOPInstanceUID = _instance_uid(study.decision_id, "preliminary")
    before.StudyInstanceUID = source.StudyInstanceUID
    before.SeriesInstanceUID = dicom_uid(study.decision_id, "reports")
    return before


def _scheme() -> CodingSchemeIdentificationItem:
    scheme = concepts.concepts().scheme
    return CodingSchemeIdentificationItem(
        designator=scheme.designator,
        name=scheme.name,
        responsible_organization=scheme.organization,
    )
