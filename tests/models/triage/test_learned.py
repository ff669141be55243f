"""The learned urgency raises what the rules say, never lowers it, and is not needed for safety."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.repository import ModelRepository
from models.tasks.urgency import Urgency
from models.triage.conversation import Conversation
from models.triage.learned import CRISIS, EMERGENCY, SAME_DAY, Thresholds, hear
from models.triage.local import LocalTriage
from models.triage.request import TriageRequest
from models.triage.result import TriageResult

THRESHOLDS = Thresholds(emergency=0.8, strong=0.95, urgent=0.7, crisis=0.9, look=0.4)
CASES = Path(__file__).resolve().parents[3] / "eval" / "cases"


def lines(name: str) -> list[dict[str, object]]:
    text = (CASES / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def triage() -> LocalTriage:
    return LocalTriage(ModelRepository())


def urgency(emergency: float, same_day: float, crisis: float = 0.0) -> Urgency:
    return Urgency((0.0, emergency, same_day, 1.0), crisis)


@pytest.mark.parametrize(
    ("found", "findings", "unsure"),
    [
        (urgency(0.85, 0.9), (EMERGENCY, SAME_DAY), False),
        (urgency(0.5, 0.75), (SAME_DAY,), False),
        (urgency(0.1, 0.5), (), True),
        (urgency(0.1, 0.2), (), False),
        (urgency(0.1, 0.2, crisis=0.95), (CRISIS,), False),
    ],
)
def test_a_probability_above_its_threshold_becomes_a_finding(
    found: Urgency, findings: tuple[str, ...], unsure: bool
) -> None:
    heard = hear(found, THRESHOLDS, 4)
    assert (heard.findings, heard.unsure) == (findings, unsure)


@pytest.mark.parametrize(("emergency", "findings"), [(0.9, ()), (0.96, (EMERGENCY,))])
def test_what_home_care_rules_judged_takes_a_strong_voice(
    emergency: float, findings: tuple[str, ...]
) -> None:
    assert hear(urgency(emergency, 0.99), THRESHOLDS, 5).findings == findings


def test_no_answer_is_less_urgent_than_the_rules_alone(triage: LocalTriage) -> None:
    for line in lines("messages.jsonl")[::4]:
        request = TriageRequest(text=str(line["case_description"]))
        read = triage.task.read(request)
        assert triage.judged(request).level <= read.level


def test_an_emergency_in_words_that_no_rule_knows_is_heard_and_says_who_heard_it(
    triage: LocalTriage,
) -> None:
    raised = 0
    for line in lines("messages.jsonl"):
        request = TriageRequest(text=str(line["case_description"]))
        if line["urgency_level"] != "em" or triage.task.read(request).level <= 2:
            continue
        answer = triage(request)
        if answer.disposition.level <= 2:
            raised += 1
            assert answer.red_flags[0].id.startswith("learned-")
            assert answer.models["urgency"] == triage.versions["urgency"]
            assert "low_confidence" in answer.review.reasons
    assert raised >= 20


def test_most_emergencies_of_the_messages_that_nothing_learned_from_are_found(
    triage: LocalTriage,
) -> None:
    levels = [
        triage.judged(TriageRequest(text=str(line["case_description"]))).level
        for line in lines("messages.jsonl")
        if line["urgency_level"] == "em"
    ]
    assert sum(level <= 3 for level in levels) / len(levels) >= 0.9


def test_most_crises_get_the_crisis_answer_and_a_human(triage: LocalTriage) -> None:
    answers = [
        triage(TriageRequest(text=str(line["text"])))
        for line in lines("crisis.jsonl")
        if line["crisis"]
    ]
    found = [a for a in answers if a.crisis]
    assert len(found) / len(answers) >= 0.7
    assert all(a.disposition.level <= 2 and "crisis" in a.review.reasons for a in found)


def test_without_the_model_the_rules_answer(triage: LocalTriage) -> None:
    read = triage.task.read(TriageRequest(text="突然嘴歪，说话不清"))
    answer = triage.task.finish(read, {})
    assert answer.disposition.level == 1
    assert answer.models == {}


@pytest.mark.parametrize(
    ("greetings", "complaint"),
    [
        (("你好", "医生在吗"), "我老汉儿坐起一声不吭，脸色卡白，手按到心口"),
        (("hello",), "he went grey and is clutching his chest"),
    ],
)
def test_the_learned_urgency_reads_past_a_greeting_and_not_the_answers(
    triage: LocalTriage, greetings: tuple[str, ...], complaint: str
) -> None:
    def read(*messages: str) -> list[int]:
        request = TriageRequest(messages=messages)
        ids = triage.task.prepare(triage.task.read(request))["urgency"]["ids"]
        return [int(i) for i in ids[0]]

    heard = read(*greetings, complaint)
    assert heard == read("\n".join((*greetings, complaint)))
    assert read(*greetings, complaint, "没有发烧，也不咳嗽") == heard
    assert len(heard) > len(read(*greetings))


def test_a_patient_who_comes_back_with_something_new_is_heard(triage: LocalTriage) -> None:
    talk = Conversation().hear("喉咙有点痒，咳了两声")
    while (talk := talk.ask(answer(triage, talk))).question is not None:
        talk = talk.hear("没有")
    assert answer(triage, talk).disposition.level >= 4
    later = talk.hear("刚才人一下子软下去，喊都喊不应，嘴唇乌的")
    assert later.unasked == ("喉咙有点痒，咳了两声", "刚才人一下子软下去，喊都喊不应，嘴唇乌的")
    words = triage.task.prepare(triage.task.read(request(later)))["urgency"]["ids"]
    assert words.shape[1] > len(later.unasked[1])
    assert answer(triage, later).disposition.level <= 2


def request(talk: Conversation) -> TriageRequest:
    return TriageRequest(messages=talk.messages, unasked=talk.unasked, answers=dict(talk.answers))


def answer(triage: LocalTriage, talk: Conversation) -> TriageResult:
    return triage(request(talk))


def test_only_what_was_said_can_be_unasked() -> None:
    with pytest.raises(ValidationError, match="unasked"):
        TriageRequest(messages=("头痛",), unasked=("胸痛",))
