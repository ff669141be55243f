"""The heat map as Secondary Capture: picture unchanged, its label beside it and in the header."""

from __future__ import annotations

import io
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from serving.reports.capture import heatmap_capture
from serving.reports.study import ReportedStudy
from tests.serving.reports.studies import INSTANCE, kept_header, override, scored, signature, study


def overlay(width: int = 600, height: int = 400) -> bytes:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def capture(of: ReportedStudy, png: bytes) -> FileDataset:
    return dcmread(io.BytesIO(heatmap_capture(of, of.images[0], png)))


def test_it_is_a_derived_secondary_capture_in_the_study_of_its_picture() -> None:
    file = capture(study(None, scored(), instances=(INSTANCE,)), overlay())
    assert file.SOPClassUID == SecondaryCaptureImageStorage
    assert list(file.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert file.BurnedInAnnotation == "YES"
    assert file.StudyInstanceUID == INSTANCE["study_uid"]
    assert file.SourceImageSequence[0].ReferencedSOPInstanceUID == INSTANCE["sop_uid"]


def test_it_belongs_to_the_same_pseudonym_as_the_instance_that_is_kept() -> None:
    headers = {str(INSTANCE["sop_uid"]): kept_header()}
    file = capture(study(None, scored(), instances=(INSTANCE,), headers=headers), overlay())
    assert (file.PatientID, file.PatientAge) == ("A1B2C3D4E5F60718", "003Y")


def test_the_picture_stays_as_it_is_above_a_margin_with_the_label() -> None:
    png = overlay()
    pixels = capture(study(), png).pixel_array
    with Image.open(io.BytesIO(png)) as shown:
        picture = np.asarray(shown)
    assert np.array_equal(pixels[: picture.shape[0]], picture)
    margin = pixels[picture.shape[0] :]
    assert margin.size
    assert 0.02 < np.mean(margin > 128) < 0.5, "white words on black"


def test_the_label_changes_when_a_physician_has_signed() -> None:
    margins = [
        capture(study(signed), overlay()).pixel_array[400:]
        for signed in (None, signature(), override())
    ]
    assert not any(np.array_equal(one, other) for one, other in pairwise(margins))


@pytest.mark.parametrize("size", [(50, 50), (224, 224), (1024, 300), (128, 1024)])
def test_the_label_fits_whatever_the_pictures_size(size: tuple[int, int]) -> None:
    pixels = capture(study(), overlay(*size)).pixel_array
    assert pixels.shape[1] >= 512
    assert not pixels[-40:, -3:].any(), "no word is cut off at the right"


def test_the_header_says_that_it_is_ai_content_and_preliminary() -> None:
    file = capture(study(), overlay())
    assert '"AIGC"' in file.ImageComments
    assert "内容由人工智能生成。初步意见，医生尚未签署。" in file.ImageComments
    assert "Preliminary: no physician has signed." in file.ImageComments
    equipment = file.ContributingEquipmentSequence[0]
    assert (equipment.Manufacturer, equipment.ManufacturerModelName) == ("Fenzhen", "cxr_pneumonia")
    assert "Artificial intelligence" in equipment.ContributionDescription


def test_a_signed_one_names_the_physician_and_keeps_the_comment_out() -> None:
    comments = capture(study(override()), overlay()).ImageComments
    assert "王小明 decided otherwise" in comments
    assert "双肺清晰" not in comments


def test_the_same_decision_gives_the_same_bytes() -> None:
    png, of = overlay(), study()
    assert heatmap_capture(of, of.images[0], png) == heatmap_capture(of, of.images[0], png)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_the_standards_own_checker_finds_no_error(tmp_path: Path) -> None:
    file, of = tmp_path / "heatmap.dcm", study(signature())
    file.write_bytes(heatmap_capture(of, of.images[0], overlay()))
    found = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False)
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []
