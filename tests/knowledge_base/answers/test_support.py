"""The check on generated sentences: what the passages do not say is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.answers.support import Claim, claims, supported

KIDNEYS = "In patients with chronic kidney disease avoid NSAIDs. Recheck creatinine in 3 months."


def test_marks_are_read_before_and_after_the_full_stop() -> None:
    said = claims(
        "血压高于140/90 mmHg可诊断[1]。建议低盐饮食。[2][3] Avoid NSAIDs [1, 2]. Then go."
    )
    assert said == [
        Claim("血压高于140/90 mmHg可诊断。", (1,)),
        Claim("建议低盐饮食。", (2, 3)),
        Claim("Avoid NSAIDs.", (1, 2)),
        Claim("Then go.", ()),
    ]


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        ("Avoid NSAIDs in chronic kidney disease.", True),
        ("Recheck creatinine in 3 months.", True),
        ("Recheck creatinine in 6 months.", False),
        ("Give NSAIDs to patients with chronic kidney disease.", False),
        ("Avoid NSAIDs and statins in heart failure with chronic anaemia.", False),
        ("", False),
    ],
)
def test_numbers_words_and_direction_must_be_the_passages(claim: str, holds: bool) -> None:
    assert supported(claim, [KIDNEYS]) is holds


def test_without_a_passage_nothing_holds() -> None:
    assert not supported("Avoid NSAIDs.", [])


@given(st.text(max_size=300))
def test_any_reply_can_be_read(text: str) -> None:
    for claim in claims(text):
        assert claim.text == claim.text.strip() != ""
        assert isinstance(supported(claim.text, [KIDNEYS]), bool)
