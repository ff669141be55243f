"""What people do in a conversation: not sure, in their own words, changed minds, questions back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import Api


@pytest.fixture
def consult(api: Api) -> dict[str, str]:
    opened = api.client.post("/v1/consults", json={"age_years": 50}, headers=api.app_user)
    return dict(opened.json())


def say(api: Api, consult: dict[str, str], **turn: Any) -> Any:
    answer = api.client.post(
        f"/v1/consults/{consult['id']}/messages",
        json=turn,
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def close(api: Api, consult: dict[str, str]) -> Any:
    return api.client.post(
        f"/v1/consults/{consult['id']}/close",
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    )


@pytest.mark.parametrize("words", ["不知道", "说不准", "不太清楚", "I'm not sure", "hard to say"])
def test_not_sure_is_never_asked_again(api: Api, consult: dict[str, str], words: str) -> None:
    answer = say(api, consult, text="头疼两天")
    first = set(answer["question"]["codes"])
    while answer["question"] is not None:
        answer = say(api, consult, text=words)
        if answer["question"] is not None:
            assert not first & set(answer["question"]["codes"])


def test_a_no_in_words_answers_like_the_button(api: Api, consult: dict[str, str]) -> None:
    first = say(api, consult, text="头疼两天")
    after = say(api, consult, text="都没有")
    assert after["question"]["code"] != first["question"]["code"]
    assert after["result"]["disposition"]["level"] == first["result"]["disposition"]["level"]


def test_a_yes_with_more_gives_both(api: Api, consult: dict[str, str]) -> None:
    say(api, consult, text="胸口有点闷")
    answer = say(api, consult, text="有，出冷汗，还拉肚子")
    present = {f["code"] for f in answer["result"]["findings"] if f["status"] == "present"}
    assert {"diaphoresis", "diarrhoea"} <= present


def test_what_is_ticked_is_present_and_the_rest_is_not(api: Api, consult: dict[str, str]) -> None:
    first = say(api, consult, text="胸口有点闷")
    codes = first["question"]["codes"]
    assert len(codes) > 1
    answer = say(api, consult, answer="present", findings=[codes[0]])
    assert answer["result"]["disposition"]["level"] <= first["result"]["disposition"]["level"]
    if answer["question"] is not None:
        assert not set(codes) & set(answer["question"]["codes"])


def test_only_what_was_asked_can_be_ticked(api: Api, consult: dict[str, str]) -> None:
    say(api, consult, text="胸口有点闷")
    refused = api.client.post(
        f"/v1/consults/{consult['id']}/messages",
        json={"answer": "present", "findings": ["hair_loss"]},
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    )
    assert refused.json()["code"] == "invalid_input"


@pytest.mark.parametrize("words", ["你问这个干什么？", "什么意思", "要紧吗？", "what do you mean?"])
def test_a_question_back_is_explained_and_the_same_is_asked_again(
    api: Api, consult: dict[str, str], words: str
) -> None:
    first = say(api, consult, text="头疼两天")
    assert first["explanation"] is None
    again = say(api, consult, text=words)
    assert again["question"] == first["question"]
    assert again["explanation"] == first["question"]["reason"]
    count = 0
    answer = again
    while answer["question"] is not None:
        count += 1
        answer = say(api, consult, answer="absent")
    assert count <= 8


def stream(api: Api, consult: dict[str, str], text: str) -> dict[str, Any]:
    """The answer of a turn that was asked for as an event stream."""
    answer = api.client.post(
        f"/v1/consults/{consult['id']}/messages",
        json={"text": text},
        headers={
            **api.app_user,
            "X-Consult-Secret": consult["secret"],
            "Accept": "text/event-stream",
        },
    )
    events = dict(e.split("\ndata: ", 1) for e in answer.text.strip().split("\n\n"))
    return dict(json.loads(events["event: answer"]))


@pytest.mark.parametrize(
    ("complaint", "idle"),
    [("头疼两天", "为什么问这个？"), ("headache for two days", "what do you mean by that?")],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_question_back_moves_neither_findings_nor_departments(
    api: Api, consult: dict[str, str], complaint: str, idle: str, streamed: bool
) -> None:
    first = say(api, consult, text=complaint)
    again = stream(api, consult, idle) if streamed else say(api, consult, text=idle)
    for part in ("findings", "departments", "disposition", "advice"):
        assert again["result"][part] == first["result"][part]
    assert again["question"] == first["question"]
    assert again["explanation"] == first["question"]["reason"]
    kept = api.client.get(
        f"/v1/consults/{consult['id']}",
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    ).json()
    assert [t["text"] for t in kept["turns"] if t["role"] == "patient"] == [complaint, idle]


def test_what_was_ticked_is_among_what_was_understood(api: Api, consult: dict[str, str]) -> None:
    first = say(api, consult, text="胸口有点闷")
    ticked = next(c for c in first["question"]["choices"] if c["code"] is not None)
    say(api, consult, answer="present", findings=[ticked["code"]])
    kept = api.client.get(
        f"/v1/consults/{consult['id']}",
        headers={**api.app_user, "X-Consult-Secret": consult["secret"]},
    ).json()
    shown = kept["turns"][-1]["findings"]
    assert {"name": ticked["name"], "status": "present", "answered": True} in shown
    denied = [f for f in shown if f.get("answered") and f["status"] == "absent"]
    assert len(denied) == len(first["question"]["codes"]) - 1


def test_a_question_back_still_hears_an_emergency(api: Api, consult: dict[str, str]) -> None:
    say(api, consult, text="头疼两天")
    answer = say(api, consult, text="为什么问这个？我现在胸口压榨样疼，出冷汗")
    assert answer["result"]["disposition"]["level"] == 1
    assert answer["question"] is None


def test_a_changed_mind_counts_for_the_question_before(api: Api, consult: dict[str, str]) -> None:
    first = say(api, consult, text="头疼两天")
    lead = first["question"]["codes"][0]
    second = say(api, consult, text="没有")
    third = say(api, consult, text="不对，其实有")
    assert third["question"] == second["question"] or third["question"] is None
    assert third["result"]["disposition"]["level"] < second["result"]["disposition"]["level"], lead


def test_two_complaints_are_both_pursued(api: Api, consult: dict[str, str]) -> None:
    say(api, consult, text="头疼两天")
    answer = say(api, consult, text="没有。另外胸口也闷")
    present = {f["code"] for f in answer["result"]["findings"] if f["status"] == "present"}
    assert {"headache", "chest_tightness"} <= present
    rules = set()
    while answer["question"] is not None:
        rules |= set(answer["question"]["codes"])
        answer = say(api, consult, answer="absent")
    assert rules & {"crushing_chest_pain", "diaphoresis", "dyspnoea"}


def test_a_question_about_a_son_speaks_of_him(api: Api, consult: dict[str, str]) -> None:
    answer = say(api, consult, text="my son has a rash and fever")
    while answer["question"] is not None:
        question = answer["question"]
        if question["codes"]:
            assert " you" not in f" {question['text']['en'].lower()}"
        answer = say(api, consult, answer="absent")


def test_distress_is_not_closed_before_suicide_was_asked(api: Api, consult: dict[str, str]) -> None:
    answer = say(api, consult, text="最近情绪很低落，什么都提不起兴趣")
    assert answer["question"]["codes"] == ["suicidal_ideation"]
    refused = close(api, consult)
    assert refused.status_code == 409
    assert "suicide-risk" in refused.json()["detail"]
    say(api, consult, answer="absent")
    closed = close(api, consult)
    assert closed.status_code == 200
    assert closed.json()["status"] == "closed"


def test_a_consult_about_a_cold_may_be_closed_at_any_time(
    api: Api, consult: dict[str, str]
) -> None:
    say(api, consult, text="流鼻涕打喷嚏两天")
    assert close(api, consult).json()["status"] == "closed"
    assert close(api, consult).status_code == 200
