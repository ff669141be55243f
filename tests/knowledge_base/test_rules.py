"""The rule set: red flags first, what unknown may never do, and what a bad file says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from knowledge_base.rules.facts import Facts, Observation
from knowledge_base.rules.ruleset import RuleSet, read_rules, read_sources, rules
from knowledge_base.yaml_files import ContentError

PRESENT, ABSENT, UNKNOWN = Observation("present"), Observation("absent"), Observation("unknown")


def seen(**observations: Observation) -> Facts:
    return Facts(observations=observations)


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


@pytest.fixture
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


def test_of_several_stated_ages_the_worst_counts(tmp_path: Path) -> None:
    by_age = read_rules(
        write(
            tmp_path,
            [rule("baby", 2, {"all": [{"present": "fever"}, {"age": {"max": 0.25}}]})],
            [rule("care", 5, {"all": [{"present": "cold"}, {"age": {"min": 18}}]})],
        )
    )
    verdict, age = by_age.judge_ages(seen(fever=PRESENT), (35.0, 0.1))
    assert (verdict.disposition, age) == (2, 0.1)
    # For the child no rule speaks: that is no reason to send anybody home.
    verdict, age = by_age.judge_ages(seen(cold=PRESENT), (35.0, 6.0))
    assert (verdict.disposition, age) == (None, 6.0)
    assert by_age.judge_ages(seen(cold=PRESENT), (35.0,))[0].disposition == 5
    verdict, age = by_age.judge_ages(seen(fever=PRESENT), ())
    assert age is None
    assert [r.id for r in verdict.undecided] == ["baby"]


def test_only_emergencies_of_the_mind_are_crises(tmp_path: Path) -> None:
    read = read_rules(
        write(
            tmp_path,
            [
                rule("plan", 2, {"present": "a"}, topic="mental_health"),
                rule("low", 3, {"present": "a"}, topic="mental_health"),
                rule("stroke", 1, {"present": "a"}),
            ],
        )
    )
    assert [r.id for r in read.red_flags if r.crisis] == ["plan"]


def test_scores_add_sources_and_none_is_defined_twice(tmp_path: Path) -> None:
    folder = write(tmp_path, [rule("x", 2, {"present": "a"})])
    (folder / "scores").mkdir()
    extra = {"organisation": "RCP", "title": "B", "year": 2017, "identifier": "C"}
    listed = folder / "scores" / "sources.yaml"
    listed.write_text(yaml.safe_dump({"sources": {"news": extra}}))
    assert read_sources(folder).keys() == {"s", "news"}
    listed.write_text(yaml.safe_dump({"sources": {"s": extra}}))
    with pytest.raises(ContentError, match="the source s is defined twice"):
        read_sources(folder)


def test_nothing_known_decides_nothing(small: RuleSet) -> None:
    assert small.judge(Facts()).disposition is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (rule("Bad Id", 2, {"present": "a"}), "id"),
        (rule("x", 4, {"present": "a"}), "level foreign to red_flags"),
        (rule("x", 9, {"present": "a"}), "disposition"),
        (rule("x", 2, {"sometimes": "a"}), "unknown condition"),
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
