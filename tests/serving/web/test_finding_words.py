"""What pages say of a finding besides its name, and how the chat's chips carry it."""

from __future__ import annotations

from typing import Any

import pytest

from knowledge_base.language import Bilingual
from knowledge_base.lexicon.grammar import grammar
from serving.web.chat_view import Answer, conversation, quick_replies
from serving.web.finding_words import details

KNEE: Bilingual = {"zh": "膝关节痛", "en": "knee pain"}
NOTHING: Bilingual = {"zh": "", "en": ""}


def test_site_side_onset_and_course_are_said_in_both_languages() -> None:
    stated = {"site": "knee", "side": "left", "onset": "sudden", "course": "worsening"}
    said = details(KNEE, stated)
    assert said == {"zh": "左膝盖 · 突然 · 加重", "en": "left knee · sudden · getting worse"}


@pytest.mark.parametrize(
    ("stated", "zh"),
    [
        ({"site": "knee"}, None),
        ({"site": "calf"}, "小腿肚"),
        ({"side": "both"}, "双侧"),
        ({"site": "knee", "side": "both"}, "双侧膝盖"),
        ({"course": "comes_and_goes"}, "时有时无"),
        ({}, None),
        ({"site": "no_such_site"}, None),
    ],
)
def test_a_place_that_the_name_says_is_not_said_twice(
    stated: dict[str, str], zh: str | None
) -> None:
    said = details(KNEE, stated)
    assert (None if said is None else said["zh"]) == zh


def test_a_side_that_the_name_says_is_not_said_twice() -> None:
    name: Bilingual = {"zh": "左臂痛", "en": "left arm pain"}
    assert details(name, {"site": "arm", "side": "left"}) is None


def test_every_site_can_be_shown_with_every_side() -> None:
    for site in grammar().sites:
        for side in ("left", "right", "both"):
            assert details(NOTHING, {"site": site, "side": side}) is not None


def turn(*findings: dict[str, Any], level: int = 4, watch: str = "a") -> dict[str, Any]:
    words = {"zh": "词", "en": "words"}
    return {
        "role": "assistant",
        "disposition": {"level": level, "name": words, "action": words},
        "crisis": False,
        "departments": [],
        "department_unsure": False,
        "red_flags": [],
        "advice": {"now": words, "watch_for": [{"text": watch}], "self_care": []},
        "findings": list(findings),
        "question": None,
        "language": "zh",
        "understood": True,
    }


def answers(*turns: dict[str, Any]) -> list[Answer]:
    return [shown for shown in conversation({"turns": turns}) if isinstance(shown, Answer)]


def test_a_chip_keeps_the_details_said_before_while_the_finding_stays() -> None:
    knee = {"name": KNEE, "status": "present"}
    placed = knee | {"site": "knee", "side": "left"}
    assert [c.detail for c in answers(turn(placed, knee))[0].chips] == [
        {"zh": "左膝盖", "en": "left knee"}
    ]
    gone = knee | {"status": "absent"}
    assert [c.detail for c in answers(turn(placed, gone))[0].chips] == [None]


def test_advice_is_as_before_only_where_urgency_and_every_sentence_are() -> None:
    shown = answers(turn(), turn(), turn(level=3), turn(level=3, watch="b"))
    assert [answer.as_before for answer in shown] == [False, True, False, False]


def test_buttons_carry_their_own_words_where_yes_and_no_both_have_some() -> None:
    def choice(value: str, name: str, says: str | None) -> dict[str, Any]:
        words = None if says is None else {"zh": says, "en": says}
        return {"value": value, "name": {"zh": name, "en": name}, "code": None, "says": words}

    unsure = choice("unknown", "不清楚", None)
    sex = {"choices": [choice("present", "有", "女性"), choice("absent", "没有", "男性"), unsure]}
    onset = {"choices": [choice("present", "有", "突然疼"), choice("absent", "没有", None), unsure]}
    assert [name["zh"] for name in quick_replies(sex).values()] == ["女性", "男性", "不清楚"]
    assert [name["zh"] for name in quick_replies(onset).values()] == ["有", "没有", "不清楚"]
