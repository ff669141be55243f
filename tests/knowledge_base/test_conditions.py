"""Conditions of rules: Kleene's three-valued logic and each predicate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.conditions import Truth, all_of, any_of, inverse, parse_condition
from knowledge_base.rules.facts import Facts, Observation, Severity, Status
from knowledge_base.rules.ruleset import rules
from knowledge_base.yaml_files import ContentError

PRESENT, ABSENT, UNKNOWN = Observation("present"), Observation("absent"), Observation("unknown")


def seen(**observations: Observation) -> Facts:
    return Facts(observations=observations)


def truth(condition: object, facts: Facts | None = None) -> Truth:
    return parse_condition(condition).evaluate(facts or Facts())


@pytest.mark.parametrize(
    ("members", "conjunction", "disjunction"),
    [
        ((True, True), True, True),
        ((True, False), False, True),
        ((True, None), None, True),
        ((False, None), False, None),
        ((False, False), False, False),
        ((None, None), None, None),
        ((), True, False),
    ],
)
def test_kleene_logic(members: tuple[Truth, ...], conjunction: Truth, disjunction: Truth) -> None:
    assert all_of(members) is conjunction
    assert all_of(reversed(members)) is conjunction
    assert any_of(members) is disjunction
    assert any_of(reversed(members)) is disjunction


def test_kleene_negation() -> None:
    assert [inverse(t) for t in (True, False, None)] == [False, True, None]


@pytest.mark.parametrize(
    ("facts", "present", "absent"),
    [
        (seen(cough=PRESENT), True, False),
        (seen(cough=ABSENT), False, True),
        (seen(cough=UNKNOWN), None, None),
        (Facts(), None, None),
    ],
)
def test_present_and_absent(facts: Facts, present: Truth, absent: Truth) -> None:
    assert truth({"present": "cough"}, facts) is present
    assert truth({"absent": "cough"}, facts) is absent


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(history=frozenset({"asthma"})), True),
        (seen(asthma=PRESENT), True),
        (seen(asthma=ABSENT), False),
        (Facts(), None),
        (Facts(history=frozenset({"asthma"}), observations={"asthma": ABSENT}), True),
    ],
)
def test_history(facts: Facts, expected: Truth) -> None:
    assert truth({"history": "asthma"}, facts) is expected


@pytest.mark.parametrize(
    ("bounds", "value", "expected"),
    [
        ({"below": 92}, 91.9, True),
        ({"below": 92}, 92, False),
        ({"at_most": 92}, 92, True),
        ({"above": 92}, 92, False),
        ({"above": 92}, 92.1, True),
        ({"at_least": 92}, 92, True),
        ({"at_least": 92, "below": 94}, 93, True),
        ({"at_least": 92, "below": 94}, 94, False),
    ],
)
def test_value_bounds(bounds: dict[str, float], value: float, expected: bool) -> None:
    assert truth({"value": {"name": "spo2", **bounds}}, Facts(values={"spo2": value})) is expected


def test_a_value_that_was_not_measured_is_unknown() -> None:
    assert truth({"value": {"name": "spo2", "below": 92}}, Facts(values={"heart_rate": 80})) is None


@pytest.mark.parametrize(
    ("age", "expected"), [(1.99, False), (2, True), (13.9, True), (14, False), (None, None)]
)
def test_age_has_an_inclusive_minimum_and_an_exclusive_maximum(
    age: float | None, expected: Truth
) -> None:
    assert truth({"age": {"min": 2, "max": 14}}, Facts(age_years=age)) is expected


def test_sex_pregnancy_and_consciousness() -> None:
    facts = Facts(sex="female", pregnant=True, postpartum=False, consciousness="voice")
    assert truth({"sex": "female"}, facts) is True
    assert truth({"sex": "male"}, facts) is False
    assert truth({"pregnant": True}, facts) is True
    assert truth({"postpartum": True}, facts) is False
    assert truth({"consciousness": ["voice", "pain"]}, facts) is True
    assert truth({"consciousness": "confused"}, facts) is False
    for condition in ({"sex": "female"}, {"pregnant": True}, {"postpartum": True}):
        assert truth(condition) is None
    assert truth({"consciousness": ["voice"]}) is None


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (Observation("present", severity=Severity.severe), True),
        (Observation("present", severity=Severity.moderate), True),
        (Observation("present", severity=Severity.mild), False),
        (PRESENT, None),
        (ABSENT, False),
        (UNKNOWN, None),
    ],
)
def test_severity(observation: Observation, expected: Truth) -> None:
    condition = {"severity": {"finding": "pain", "at_least": "moderate"}}
    assert truth(condition, seen(pain=observation)) is expected


@pytest.mark.parametrize(
    ("hours", "long", "short"),
    [(71.9, False, True), (72, True, True), (73, True, False), (None, None, None)],
)
def test_duration(hours: float | None, long: Truth, short: Truth) -> None:
    facts = seen(fever=Observation("present", duration_hours=hours))
    assert truth({"duration": {"finding": "fever", "at_least_hours": 72}}, facts) is long
    assert truth({"duration": {"finding": "fever", "at_most_hours": 72}}, facts) is short
    assert (
        truth({"duration": {"finding": "fever", "at_least_hours": 1}}, seen(fever=ABSENT)) is False
    )


@pytest.mark.parametrize("quality", ["sudden", "worsening"])
def test_a_quality_that_was_not_stated_is_unknown(quality: str) -> None:
    stated = Observation("present", sudden=True, worsening=True)
    assert truth({quality: "headache"}, seen(headache=stated)) is True
    assert truth({quality: "headache"}, seen(headache=PRESENT)) is None
    assert truth({quality: "headache"}, seen(headache=ABSENT)) is False


def test_none_is_true_until_a_member_is_known_to_hold() -> None:
    condition = {"none": [{"present": "vomiting"}, {"present": "fever"}]}
    assert truth(condition) is True
    assert truth(condition, seen(vomiting=UNKNOWN)) is True
    assert truth(condition, seen(vomiting=ABSENT)) is True
    assert truth(condition, seen(fever=PRESENT)) is False


def test_at_least_counts_and_stays_unknown_while_it_may_still_be_reached() -> None:
    condition = {"at_least": {"n": 2, "of": [{"present": c} for c in ("a", "b", "c")]}}
    assert truth(condition, seen(a=PRESENT, b=PRESENT)) is True
    assert truth(condition, seen(a=PRESENT, b=ABSENT)) is None
    assert truth(condition, seen(a=PRESENT, b=ABSENT, c=ABSENT)) is False
    assert truth(condition, seen(a=ABSENT, b=ABSENT)) is False


def test_a_condition_knows_the_codes_it_looks_at() -> None:
    condition = parse_condition(
        {
            "all": [
                {"present": "a"},
                {"none": [{"history": "b"}, {"sudden": "c"}]},
                {"age": {"min": 1}},
            ]
        }
    )
    assert condition.findings() == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("chest_pain", "one key"),
        ({}, "one key"),
        ({"present": "a", "absent": "b"}, "one key"),
        ({"maybe": "a"}, "unknown condition maybe"),
        ({"all": []}, "needs a list"),
        ({"any": {"present": "a"}}, "needs a list"),
        ({"value": "spo2"}, "needs a mapping"),
        ({"value": {"name": "luck", "below": 1}}, "unknown value luck"),
        ({"value": {"name": "spo2"}}, "no bound"),
        ({"age": 3}, "needs a mapping"),
    ],
)
def test_a_malformed_condition_is_named(condition: object, message: str) -> None:
    with pytest.raises(ContentError, match=message):
        parse_condition(condition)


@settings(max_examples=30, deadline=None)
@given(
    mentioned=st.sets(st.sampled_from(sorted(lexicon())), max_size=6),
    old=st.sets(st.sampled_from(sorted(lexicon())), max_size=3),
    status=st.sampled_from(["present", "absent", "unknown"]),
)
def test_skipping_what_was_not_spoken_of_changes_no_rule(
    mentioned: set[str], old: set[str], status: Status
) -> None:
    facts = Facts(
        age_years=40,
        observations={code: Observation(status, Severity.severe, 3.0, True) for code in mentioned},
        history=frozenset(old),
    )
    # Everything else as "unknown" is the same as never mentioned, but skips nothing.
    spelt_out = replace(
        facts,
        observations=dict.fromkeys(lexicon(), Observation("unknown")) | dict(facts.observations),
    )
    for rule in rules().by_id.values():
        if not rule.text.excludes:
            assert rule.evaluate(facts) == rule.evaluate(spelt_out)
