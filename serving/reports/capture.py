"""A heat map as DICOM Secondary Capture: the overlay as it is shown here, labelled as AI content.

The label stands in the picture, on a margin of its own that covers nothing, and in the header. The
picture is marked as bearing burned-in text: no person has looked whether the upload did.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from highdicom import ContributingEquipment
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from serving.reports import wording
from serving.reports.dicom_common import (
    CHARACTER_SET,
    MANUFACTURER,
    copy_identity,
    date_time,
    source_dataset,
    stamp,
    to_bytes,
)
from serving.reports.identifiers import dicom_uid
from serving.reports.study import ReportedImage, ReportedStudy
from serving.storage.codes import DecisionStatus
from serving.web.strings import translator

SERIES_NUMBER = 9002
MIN_WIDTH = 512
"""Smaller pictures are enlarged by a whole factor, so that the label can be read."""
_FONT_SHARE = 28
"""The font's height is at most the picture's width divided by this."""
_PADDING = 6
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_STATUS = {
    DecisionStatus.PRELIMINARY: "AI, PRELIMINARY - not signed by a physician",
    DecisionStatus.SIGNED: "AI - opinion signed by a physician",
    DecisionStatus.OVERRIDDEN: "AI - a physician decided otherwise",
}
_COMMENT_LIMIT = 10_240
"""Characters of Image Comments (PS3.5, LT)."""


def heatmap_capture(study: ReportedStudy, image: ReportedImage, png: bytes) -> bytes:
    """The DICOM file of a picture's heat map, given as PNG."""
    source, at = source_dataset(study, image), study.issued_at
    number = str(image.number)
    capture = SCImage(
        pixel_array=labelled(png, _lines(study)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=dicom_uid(study.decision_id, "heatmaps"),
        series_number=SERIES_NUMBER,
        series_description="AI heat map",
        sop_instance_uid=dicom_uid(study.decision_id, "heatmap", number, study.revision),
        instance_number=image.number + 1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.model,
        software_versions=study.model_version,
        specific_character_set=CHARACTER_SET,
        content_date=at.date(),
        content_time=at.time(),
        contributing_equipment=[_equipment(study)],
    )
    copy_identity(source, capture)
    # The library asks for an orientation; the record knows neither it nor the side: both are empty.
    capture.PatientOrientation, capture.Laterality = [], ""
    capture.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    capture.ConversionType = "WSD"
    capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture = (
        f"{study.created_at:%Y%m%d}",
        f"{study.created_at:%H%M%S}",
    )
    capture.BurnedInAnnotation = "YES"
    capture.DerivationDescription = "Saliency of an AI model laid over the picture; AI content"
    capture.ImageComments = _comments(study)
    capture.SourceImageSequence = [_reference(image)]
    if image.source_format == "jpeg":
        capture.LossyImageCompression = "01"
    stamp(capture, study)
    return to_bytes(capture)


def labelled(png: bytes, lines: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """The picture [H, W, 3] with the lines in white on a black margin under it."""
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    factor = -(-MIN_WIDTH // picture.width)
    if factor > 1:
        size = (picture.width * factor, picture.height * factor)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    font, height = _font(lines, picture.width - 2 * _PADDING)
    margin = len(lines) * (height + _PADDING) + _PADDING
    canvas = Image.new("RGB", (picture.width, picture.height + margin))
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    for row, line in enumerate(lines):
        at = (_PADDING, picture.height + _PADDING + row * (height + _PADDING))
        draw.text(at, line, font=font, fill=(255, 255, 255))
    return np.asarray(canvas, dtype=np.uint8)


def _font(lines: tuple[str, ...], width: int) -> tuple[_Font, int]:
    """Pillow's own font in the largest height in which every line fits the width in pixels."""
    height = width // _FONT_SHARE
    longest = max(ImageFont.load_default(height).getlength(line) for line in lines)
    height = min(height, int(height * width / longest))
    return ImageFont.load_default(height), height


def _lines(study: ReportedStudy) -> tuple[str, ...]:
    return (
        _STATUS[study.status],
        f"{MANUFACTURER} {wording.model_of(study)}",
        "Shows what moved the score, not what is ill",
    )


def _comments(study: ReportedStudy) -> str:
    say = {language: translator(language) for language in wording.LANGUAGES}
    lines = [
        text
        for language in wording.LANGUAGES
        for text in (wording.status_line(study, language), say[language]("report.heatmap"))
    ]
    return "\r\n".join((wording.content_label(study), *lines))[:_COMMENT_LIMIT]


def _equipment(study: ReportedStudy) -> ContributingEquipment:
    return ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=study.model,
        software_versions=study.model_version,
        contribution_datetime=date_time(study.created_at),
        contribution_description="Artificial intelligence: opinion and heat map",
    )


def _reference(image: ReportedImage) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.source.sop_class_uid
    item.ReferencedSOPInstanceUID = image.source.sop_uid
    if image.source.frame is not None:
        item.ReferencedFrameNumber = image.source.frame
    return item
