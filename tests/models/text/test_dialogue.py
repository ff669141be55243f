"""Windows of a conversation: what the rules conclude, and what the learned status is shown."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge_base.lexicon.findings import lexicon
from models.text.dialogue import Candidate, DialogueReader, dialogue_items
from models.text.dialogue_features import BUCKETS, CHARACTERS_WEIGH, features
from models.text.dialogue_labels import symptom_pairs


@pytest.fixture(scope="module")
def reader() -> DialogueReader:
    return DialogueReader(lexicon(), dialogue_items())


def candidate(reader: DialogueReader, item: str, *window: str) -> Candidate:
    return next(c for c in reader.candidates(window) if c.item == item)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (["患者:胸闷，没有头晕"], {("胸闷", "present"), ("头晕", "absent")}),
        (["患者:这是冠心病吗？"], {("冠心病", "unknown")}),
        (["医生:胸闷吗？"], {("胸闷", "unknown")}),
        (["医生:胸闷吗？", "患者:没有"], {("胸闷", "absent")}),
        (["医生:有没有咳嗽？", "患者:有的，好几天了"], {("咳嗽", "present")}),
        (["医生:有没有咳嗽？", "患者:医生您好"], {("咳嗽", "unknown")}),
        (["医生:考虑是冠心病。", "患者:好的"], {("冠心病", "unknown")}),
        (["患者:我咳嗽", "医生:咳嗽多久了？"], {("咳嗽", "present")}),
        (["患者:我咳嗽", "医生:还咳嗽吗？", "患者:不咳嗽了"], {("咳嗽", "absent")}),
        (["患者:活动后胸痛"], {("胸痛", "present")}),
    ],
)
def test_by_the_rules_a_window_gives_the_patients_last_word(
    reader: DialogueReader, window: list[str], expected: set[tuple[str, str]]
) -> None:
    assert reader.read(window) == expected


def test_a_narrower_finding_counts_for_the_nearest_item(reader: DialogueReader) -> None:
    assert reader.read(["患者:心绞痛"]) == {("心绞痛", "present")}
    assert reader.read(["患者:室间隔缺损"]) == {("室间隔缺损", "present")}


@pytest.mark.parametrize(
    ("line", "item", "source"),
    [
        ("患者:胸痛", "胸痛", "codes"),
        ("患者:胸痛", "心绞痛", "also"),
        ("医生:血压怎么样", "高血压", "words"),
        ("患者:查了心率九十", "心律不齐", "words"),
    ],
)
def test_wording_that_only_may_mean_an_item_makes_a_candidate(
    reader: DialogueReader, line: str, item: str, source: str
) -> None:
    found = candidate(reader, item, line)
    assert source in {mention.source for _, mention in found.mentions}
    assert (found.rule is None) == (source != "codes")


def test_a_gap_in_the_wording_ends_with_the_clause(reader: DialogueReader) -> None:
    found = reader.candidates(["患者:心里没事，胸口疼"])
    assert "胸痛" in {c.item for c in found}
    assert not any(m.start == 0 for c in found if c.item == "心绞痛" for _, m in c.mentions)


def test_words_inside_a_finding_of_the_item_are_no_second_mention(reader: DialogueReader) -> None:
    assert len(candidate(reader, "高血压", "患者:我有高血压").mentions) == 1


def test_features_tell_who_asked_and_who_answered(reader: DialogueReader) -> None:
    told = set(features(candidate(reader, "咳嗽", "患者:我咳嗽"))[0])
    asked = set(features(candidate(reader, "咳嗽", "医生:咳嗽吗？"))[0])
    denied = set(features(candidate(reader, "咳嗽", "医生:咳嗽吗？", "患者:没有"))[0])
    assert told - asked
    assert asked - told
    assert denied - asked


def test_features_are_distinct_rows_with_two_weights(reader: DialogueReader) -> None:
    ids, weights = features(candidate(reader, "胸闷", "医生:胸闷吗？", "患者:偶尔胸闷"))
    assert len(set(ids)) == len(ids) == len(weights)
    assert ids.min() > 0
    assert ids.max() < BUCKETS
    assert set(np.unique(weights)) == {np.float32(CHARACTERS_WEIGH), np.float32(1.0)}


def test_width_and_traditional_characters_do_not_change_the_features(
    reader: DialogueReader,
) -> None:
    simple, _ = features(candidate(reader, "咳嗽", "医生:咳嗽吗?"))
    traditional, _ = features(candidate(reader, "咳嗽", "医生:咳嗽嗎？"))
    assert len(set(simple) & set(traditional)) > 0.7 * len(simple)


def test_the_doctors_labels_count_as_the_patients_and_other_types_not_at_all() -> None:
    labels = ["症状:胸闷-状态:医生阴性", "症状:胸闷-状态:阳性", "检查:心电图-状态:阳性"]
    assert symptom_pairs(labels) == {("胸闷", "absent"), ("胸闷", "present")}
    with pytest.raises(ValueError, match="a label must read"):
        symptom_pairs(["症状:胸闷"])
