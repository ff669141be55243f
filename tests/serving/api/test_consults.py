"""/v1/consults: a conversation keeps its state, asks one question at a time and stops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import Api


@pytest.fixture
def consult(api: Api) -> dict[str, str]:
    opened = api.client.post("/v1/consults", json={"age_years": 50}, headers=api.app_user)
    assert opened.status_code == 201
    return dict(opened.json())


def say(api: Api, consult: dict[str, str], **turn: Any) -> Any:
    return api.client.post(
        f"/v1/consults/{consult['id']}/messages",
        json=turn,
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    )


def test_an_answer_to_the_question_can_raise_the_urgency(api: Api, consult: dict[str, str]) -> None:
    first = say(api, consult, text="胸口有点闷").json()
    assert first["question"] is not None
    assert first["question"]["reason"]["zh"]
    level = first["result"]["disposition"]["level"]
    second = say(api, consult, answer="present").json()
    assert second["result"]["disposition"]["level"] < level


def test_a_question_is_never_asked_twice_and_the_interview_ends(
    api: Api, consult: dict[str, str]
) -> None:
    asked = []
    answer = say(api, consult, text="头疼两天").json()
    while answer["question"] is not None:
        asked.append(answer["question"]["code"])
        answer = say(api, consult, answer="absent").json()
    assert len(asked) == len(set(asked))
    assert len(asked) <= 8


def test_an_emergency_stops_the_questions_at_once(api: Api, consult: dict[str, str]) -> None:
    answer = say(api, consult, text="突然嘴歪，右边身子没劲，说话不清").json()
    assert answer["status"] == "emergency"
    assert answer["question"] is None


def test_the_conversation_can_be_read_again(api: Api, consult: dict[str, str]) -> None:
    say(api, consult, text="嗓子疼")
    state = api.client.get(
        f"/v1/consults/{consult['id']}",
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    ).json()
    assert [turn["role"] for turn in state["turns"]] == ["patient", "assistant"]


def test_a_wrong_secret_finds_nothing(api: Api, consult: dict[str, str]) -> None:
    answer = say(api, {**consult, "secret": "guess"}, text="嗓子疼")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("turn", [{}, {"text": "  "}, {"answer": "present"}, {"answer": "maybe"}])
def test_an_empty_turn_or_an_answer_to_no_question_is_refused(
    api: Api, consult: dict[str, str], turn: dict[str, Any]
) -> None:
    assert say(api, consult, **turn).json()["code"] == "invalid_input"


def test_events_come_urgency_first(api: Api, consult: dict[str, str]) -> None:
    with api.client.stream(
        "POST",
        f"/v1/consults/{consult['id']}/messages",
        json={"text": "胸口疼"},
        headers={
            **api.app_user,
            "X-Consult-Secret": consult["secret"],
            "Accept": "text/event-stream",
        },
    ) as stream:
        names = [line[7:] for line in stream.iter_lines() if line.startswith("event: ")]
    assert names == ["urgency", "answer"]


def test_a_long_talk_still_hears_the_emergency_at_its_end(
    api: Api, consult: dict[str, str]
) -> None:
    assert say(api, consult, text="有点咳嗽。" * 1590).status_code == 200
    answer = say(api, consult, text="现在胸口压榨样疼痛，出冷汗").json()
    assert answer["result"]["disposition"]["level"] == 1
    assert answer["status"] == "emergency"
    later = say(api, consult, text="好多了，胸口不痛了").json()
    assert later["status"] == "emergency", "a person ends an emergency, not the chat"


def test_what_is_too_long_is_refused_with_the_emergency_number(
    api: Api, consult: dict[str, str]
) -> None:
    answer = say(api, consult, text="咳" * 9000)
    assert answer.json()["code"] == "payload_too_large"
    assert "120" in answer.json()["detail"]
