"""The rule evaluator: three-valued logic, each predicate, and what unknown may never do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from knowledge_base.rules.conditions import Truth, all_of, any_of, inverse, parse_condition
from knowledge_base.rules.facts import Facts, Observation, Severity
from knowledge_base.rules.ruleset import RuleSet, read_rules, rules
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


TEXTS = {"rationale": {"zh": "理由", "en": "why"}, "advice": {"zh": "建议", "en": "do"}}


def rule(name: str, level: int, when: object, **extra: object) -> dict[str, object]:
    return {
        "id": name, "version": 1, "topic": "t", "disposition": level, "when": when,
        "sources": ["s"], **TEXTS, **extra,
    }  # fmt: skip


def write(
    folder: Path, red: list[dict[str, object]], other: list[dict[str, object]] | None = None
) -> Path:
    source: Mapping[str, object] = {
        "organisation": "WHO", "title": "A", "year": 2014, "identifier": "B"
    }  # fmt: skip
    (folder / "red_flags").mkdir()
    (folder / "dispositions").mkdir()
    (folder / "sources.yaml").write_text(yaml.safe_dump({"sources": {"s": dict(source)}}))
    (folder / "red_flags" / "a.yaml").write_text(yaml.safe_dump({"rules": red}))
    (folder / "dispositions" / "b.yaml").write_text(yaml.safe_dump({"rules": other or []}))
    return folder


@pytest.fixture()
def small(tmp_path: Path) -> RuleSet:
    """One emergency, one urgent, one routine and one self-care rule."""
    return read_rules(
        write(
            tmp_path,
            [
                rule("urgent", 3, {"present": "cough"}),
                rule("emergency", 2, {"all": [{"present": "cough"}, {"present": "blood"}]}),
                rule(
                    "guarded", 2, {"all": [{"present": "fall"}, {"none": [{"present": "trivial"}]}]}
                ),
            ],
            [
                rule("routine", 4, {"present": "rash"}),
                rule("care", 5, {"present": "cold"}, excludes=["fever", "asthma"]),
            ],
        )
    )


def test_the_most_urgent_red_flag_decides(small: RuleSet) -> None:
    verdict = small.judge(seen(cough=PRESENT, blood=PRESENT))
    assert verdict.disposition == 2
    assert [r.id for r in verdict.fired] == ["emergency", "urgent"]


def test_a_more_urgent_rule_that_lacks_an_answer_is_undecided(small: RuleSet) -> None:
    verdict = small.judge(seen(cough=PRESENT))
    assert verdict.disposition == 3
    assert {r.id for r in verdict.undecided} == {"emergency", "guarded"}
    answered = small.judge(seen(cough=PRESENT, blood=ABSENT, fall=ABSENT))
    assert answered.undecided == ()


def test_unknown_never_silences_a_red_flag(small: RuleSet) -> None:
    for facts in (seen(fall=PRESENT), seen(fall=PRESENT, trivial=UNKNOWN)):
        assert small.judge(facts).disposition == 2
    assert small.judge(seen(fall=PRESENT, trivial=PRESENT)).disposition is None


def test_red_flags_go_before_self_care(small: RuleSet) -> None:
    verdict = small.judge(seen(cold=PRESENT, cough=PRESENT))
    assert verdict.disposition == 3
    assert [r.id for r in verdict.fired] == ["urgent"]


def test_routine_goes_before_self_care(small: RuleSet) -> None:
    assert small.judge(seen(cold=PRESENT, rash=PRESENT)).disposition == 4


@pytest.mark.parametrize(
    ("facts", "disposition"),
    [
        (seen(cold=PRESENT), 5),
        (seen(cold=PRESENT, fever=ABSENT), 5),
        (seen(cold=PRESENT, fever=PRESENT), None),
        (seen(cold=PRESENT, fever=UNKNOWN), None),
        (Facts(observations={"cold": PRESENT}, history=frozenset({"asthma"})), None),
    ],
)
def test_self_care_is_silent_while_an_exclusion_is_plausible(
    small: RuleSet, facts: Facts, disposition: int | None
) -> None:
    assert small.judge(facts).disposition == disposition


def test_nothing_known_decides_nothing(small: RuleSet) -> None:
    assert small.judge(Facts()).disposition is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (rule("Bad Id", 2, {"present": "a"}), "id"),
        (rule("x", 4, {"present": "a"}), "level foreign to red_flags"),
        (rule("x", 9, {"present": "a"}), "disposition"),
        (rule("x", 2, {"sometimes": "a"}), "unknown condition"),
        (rule("x", 2, {"age": {"min": "old"}}), "a.yaml"),
        (rule("x", 2, {"severity": {"finding": "a", "at_least": "awful"}}), "awful"),
        (rule("x", 2, {"present": "a"}, colour="red"), "colour"),
        ({**rule("x", 2, {"present": "a"}), "sources": []}, "sources"),
        ({**rule("x", 2, {"present": "a"}), "sources": ["nowhere"]}, "nowhere"),
    ],
)
def test_a_bad_rule_is_refused_by_name(
    tmp_path: Path, entry: dict[str, object], message: str
) -> None:
    with pytest.raises(ContentError, match=message):
        read_rules(write(tmp_path, [entry]))


def test_a_rule_id_is_used_once(tmp_path: Path) -> None:
    twice = [rule("x", 2, {"present": "a"}), rule("x", 3, {"present": "b"})]
    with pytest.raises(ContentError, match="defined twice"):
        read_rules(write(tmp_path, twice))


def test_no_shipped_rule_fires_on_nothing() -> None:
    assert rules().judge(Facts()).disposition is None


def test_no_shipped_red_flag_is_false_of_a_patient_of_whom_nothing_is_known() -> None:
    silenced = [r.id for r in rules().red_flags if r.evaluate(Facts()) is False]
    assert silenced == []
