"""Sources that differ are shown side by side, the newest first; those that agree are not."""

from __future__ import annotations

import pytest

from knowledge_base.answers.disagreement import compare, disagreements, measures
from tests.knowledge_base.answers.test_answering import quote

OLD = "In adults hypertension is diagnosed at a blood pressure of 140/90 mmHg in the clinic."
NEW = "In adults hypertension is diagnosed at a clinic blood pressure of 130/80 mmHg."


def test_the_newest_comes_first_and_the_difference_is_named() -> None:
    [found] = disagreements([quote("old~1", OLD, 2010), quote("new~1", NEW, 2024)])
    assert (found.kind, found.newer.entry.year, found.older.entry.year) == ("numbers", 2024, 2010)
    assert found.what == "130/80 mmhg ≠ 140/90 mmhg"


def test_one_document_does_not_disagree_with_itself() -> None:
    assert disagreements([quote("one~1", OLD), quote("one~2", NEW)]) == ()


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("成人高血压的诊断标准为130 mmHg以上", "成人高血压诊断标准：140毫米汞柱以上", "numbers"),
        ("胸痛患者不常规吸氧", "胸痛患者应常规吸氧", "advice"),
        ("Avoid routine oxygen in chest pain.", "Give routine oxygen in chest pain.", "advice"),
        ("Review the wound after 2 days.", "The wound is reviewed after 48 hours.", None),
        (OLD, "Children with a fever above 39 °C need a doctor.", None),
        (OLD, OLD, None),
        ("胸痛患者不常规吸氧", "胸痛患者避免常规吸氧", None),
        ("", OLD, None),
    ],
)  # fmt: skip
def test_numbers_and_advice_about_one_thing_are_compared(
    one: str, other: str, kind: str | None
) -> None:
    found = compare(one, other)
    assert (found[0] if found else None) == kind


def test_units_are_read_alike_in_both_languages() -> None:
    ours = measures("血压 140 / 90 毫米汞柱，38.5℃，3天")
    assert ours == measures("140/90 mmHg, 38.5 °C, 3 days")
