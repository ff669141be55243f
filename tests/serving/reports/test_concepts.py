"""Codes of the exports: standard ones are the standard's, our own look like our own."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydicom.sr.codedict import codes

from models.imaging.opinion import ABSTENTIONS, Abstention
from models.imaging.quality import QualityCode
from serving.reports import concepts, wording

IMAGING_PAGE = (Path(__file__).resolve().parents[3] / "docs" / "imaging.md").read_text("utf-8")


def test_private_codes_fit_the_oldest_readers() -> None:
    file = concepts.concepts()
    assert max(map(len, file.private)) <= 16, "Code Value, SH"
    assert max(map(len, file.private.values())) <= concepts.MEANING_LIMIT


def test_a_label_without_a_standard_code_is_ours_and_never_dressed_as_snomed() -> None:
    concept = concepts.label("cxr_pneumonia", "normal", "no sign of pneumonia")
    assert (concept.scheme, concept.code) == ("99FENZHEN", "cxr_pneumonia:normal")
    assert concept.system == "urn:fenzhen:codes"


def test_every_private_code_is_documented() -> None:
    assert [code for code in concepts.concepts().private if f"`{code}`" not in IMAGING_PAGE] == []


def test_a_code_that_nobody_has_checked_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    file = concepts.concepts()
    doubted = file.labels["ct_nodule"]["nodule"].model_copy(update={"checked": False})
    changed = file.model_copy(update={"labels": {"ct_nodule": {"nodule": doubted}}})
    monkeypatch.setattr(concepts, "concepts", lambda: changed)
    assert concepts.label("ct_nodule", "nodule", "nodule").scheme == "99FENZHEN"


def test_a_label_of_another_task_does_not_borrow_a_code() -> None:
    assert concepts.label("adopted", "pneumonia", "pneumonia").scheme == "99FENZHEN"


def test_codes_that_dicom_lists_are_those_of_dicom() -> None:
    assert concepts.label("ct_nodule", "nodule", "nodule").code == codes.SCT.Nodule.value


def test_a_long_or_odd_name_becomes_a_meaning_that_fits() -> None:
    concept = concepts.label("t", "x", "a\\b\n" + "c" * 100)
    assert len(concept.meaning) <= concepts.MEANING_LIMIT
    assert "\\" not in concept.meaning
    assert concepts.label("t", "x", " ").meaning == "t:x"


def test_every_reason_for_no_opinion_has_its_words_a_code_and_a_place_in_the_docs() -> None:
    reasons = get_args(Abstention)
    assert ABSTENTIONS.keys() == set(reasons)
    assert all(words["zh"] and words["en"] for words in ABSTENTIONS.values())
    assert [concepts.abstention(reason).code for reason in reasons] == [
        f"abstained:{reason}" for reason in reasons
    ]
    assert [reason for reason in reasons if f"`{reason}`" not in IMAGING_PAGE] == []


def test_every_issue_of_a_picture_has_a_meaning_in_words_and_a_place_in_the_docs() -> None:
    for issue in get_args(QualityCode):
        concept = concepts.quality(issue, wording.quality_name(issue)["en"])
        assert concept.code == f"quality:{issue}"
        assert concept.meaning != issue, "the bare code says that words are missing"
        assert f"`{issue}`" in IMAGING_PAGE
