"""The body part where a header has it as a code only."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.imaging.anatomic_regions import regions
from models.imaging.decode import decode
from models.imaging.deidentify import deidentify
from models.imaging.dicom_elements import RULES
from tests.models.imaging.files import dicom_bytes, gradient

KEY = b"k" * 32


def region(*coded: tuple[str, str]) -> Sequence:
    items = []
    for value, scheme in coded:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "Zhang San"
        items.append(item)
    return Sequence(items)


def body_part(*coded: tuple[str, str], **tags: object) -> str | None:
    data = dicom_bytes(gradient(), AnatomicRegionSequence=region(*coded), **tags)
    return decode(data).metadata.body_part


@pytest.mark.parametrize(
    ("value", "scheme", "part"),
    [
        ("816094009", "SCT", "CHEST"),
        ("51185008", "SCT", "CHEST"),
        ("T-D3000", "SRT", "CHEST"),
        ("T-28000", "SNM3", "LUNG"),
        ("81745001", "SCT", "EYE"),
        ("T-AA610", "SRT", "RETINA"),
        ("39937001", "SCT", "SKIN"),
        ("69536005", "SCT", None),  # Head
        ("816094009", "99HOSPITAL", None),
        ("", "SCT", None),
    ],
)
def test_a_code_says_which_part_was_examined(value: str, scheme: str, part: str | None) -> None:
    assert body_part((value, scheme)) == part


def test_what_the_header_says_in_its_own_field_goes_before_the_code() -> None:
    assert body_part(("816094009", "SCT"), BodyPartExamined="KNEE") == "KNEE"


def test_several_regions_are_none() -> None:
    assert body_part(("816094009", "SCT"), ("69536005", "SCT")) is None


def test_what_is_kept_says_the_part_in_plain_and_no_word_of_the_sequence() -> None:
    data = dicom_bytes(gradient(), AnatomicRegionSequence=region(("T-D3000", "SRT")))
    kept = deidentify(data, KEY)
    header = pydicom.dcmread(io.BytesIO(kept.data))
    assert (kept.body_part, header.BodyPartExamined) == ("CHEST", "CHEST")
    assert "AnatomicRegionSequence" not in header
    assert b"Zhang" not in kept.data


def test_every_code_of_the_table_is_one_of_the_standards_and_every_part_is_a_kept_term() -> None:
    named = (getattr(codes.SCT, name) for name in dir(codes.SCT))
    known = {code.value for code in named if isinstance(code, Code)}
    assert set(regions()) <= known
    assert set(regions().values()) <= RULES.terms["BodyPartExamined"]
