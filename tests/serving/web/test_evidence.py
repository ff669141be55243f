"""Findings are marked where they stand, and no letter of the patient's is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.triage.result import FindingResult
from serving.web.evidence import mark_of, segments


def finding(
    start: int, end: int, *, status: str = "present", who: str = "self", when: str = "now"
) -> FindingResult:
    return FindingResult.model_validate(
        {
            "code": "headache",
            "hpo": "HP:0002315",
            "kind": "symptom",
            "name": {"zh": "头痛", "en": "headache"},
            "status": status,
            "experiencer": who,
            "temporality": when,
            "severity": None,
            "duration_hours": None,
            "message": 0,
            "start": start,
            "end": end,
            "text": "",
        }
    )


def test_a_finding_is_cut_out_of_its_sentence() -> None:
    cut = segments("今天头痛。", 0, [finding(2, 4)])
    assert [(s.text, s.mark) for s in cut] == [("今天", None), ("头痛", "present"), ("。", None)]


def test_another_persons_finding_and_a_past_one_are_marked_as_such() -> None:
    assert mark_of(finding(0, 1, who="relative", status="present")) == "relative"
    assert mark_of(finding(0, 1, who="family", when="past")) == "relative"
    assert mark_of(finding(0, 1, when="past")) == "past"
    assert mark_of(finding(0, 1, status="absent")) == "absent"


def test_where_findings_overlap_what_is_present_shows_and_all_are_named() -> None:
    cut = segments("剧烈头痛", 0, [finding(0, 4, status="absent"), finding(2, 4)])
    assert cut[-1].mark == "present"
    assert len(cut[-1].findings) == 2


def test_findings_of_other_messages_and_impossible_spans_are_left_out() -> None:
    other = finding(0, 1).model_copy(update={"message": 1})
    assert segments("痛", 0, [other, finding(0, 9), finding(1, 1)])[0].mark is None


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(-2, 45), st.integers(-2, 45))))
def test_segments_join_to_the_message_again(text: str, spans: list[tuple[int, int]]) -> None:
    cut = segments(text, 0, [finding(start, end) for start, end in spans])
    assert "".join(segment.text for segment in cut) == text
