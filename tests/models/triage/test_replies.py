"""Replies in people's own words: yes, no, not sure, a question back, a changed mind."""

from __future__ import annotations

import pytest

from models.text.findings import Reader
from models.triage.replies import asks_for_meaning, read_reply


@pytest.mark.parametrize(
    "text",
    [
        "有",
        "有的",
        "是的",
        "嗯",
        "对",
        "有一点",
        "有点",
        "有时候会",
        "偶尔",
        "有，还拉肚子",
        "是的，昨天开始的",
        "有。",
        "嗯嗯",
        "好像有",
        "有三天了",
        "yes",
        "Yeah, since Monday",
        "kind of",
        "I think so",
        "a bit",
        "yep",
        "sometimes",
        "well, yes",
        "I do",
        "Yes it hurts a lot",
        "sort of, yes",
    ],
)
def test_yes(text: str) -> None:
    assert read_reply(text).status == "present"


@pytest.mark.parametrize(
    "text",
    [
        "没有",
        "没",
        "没有的",
        "不是",
        "不是很",
        "都没有",
        "没有，就是累",
        "没有啊",
        "一点都没有",
        "应该没有吧",
        "不太",
        "No",
        "no.",
        "nope",
        "not really",
        "not at all",
        "No, just tired",
        "I don't think so",
        "none of these",
        "no I haven't",
        "Nothing like that",
    ],
)
def test_no(text: str) -> None:
    assert read_reply(text).status == "absent"


@pytest.mark.parametrize(
    "text",
    [
        "不知道",
        "不清楚",
        "说不准",
        "我也说不好",
        "不太清楚",
        "没注意",
        "没量过",
        "not sure",
        "I don't know",
        "no idea",
        "hard to say",
        "I'm not sure",
        "dunno",
        "maybe",
    ],
)
def test_not_sure(text: str) -> None:
    assert read_reply(text).status == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "你问这个干什么？",
        "为什么问这个",
        "什么意思？",
        "要紧吗？",
        "听不懂",
        "严重吗",
        "why do you ask?",
        "what do you mean?",
        "what does that mean",
        "is that serious?",
        "I don't understand",
    ],
)
def test_a_question_back_is_neither_yes_nor_no(text: str) -> None:
    reply = read_reply(text)
    assert reply.asks_back
    assert reply.status is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("不对，其实有", "present"),
        ("说错了，没有", "absent"),
        ("其实是有的", "present"),
        ("wait, actually yes", "present"),
        ("sorry, I was wrong, no", "absent"),
    ],
)
def test_a_changed_mind_takes_back(text: str, status: str) -> None:
    reply = read_reply(text)
    assert reply.takes_back
    assert reply.status == status


@pytest.mark.parametrize(
    "text",
    [
        "没有发烧",
        "没有咳嗽，就是头疼",
        "有点咳嗽",
        "no fever",
        "not eating well",
        "have a cough",
        "头疼得厉害",
        "无力",
        "不舒服",
        "有人说我贫血",
        "对花生过敏",
        "no energy for weeks",
    ],
)
def test_words_about_something_else_answer_nothing(text: str) -> None:
    assert read_reply(text).status is None


@pytest.mark.parametrize(
    "text",
    [
        "你好",
        "您好，医生",
        "谢谢",
        "好的，谢谢医生！",
        "知道了",
        "再见",
        "Hello",
        "hi doctor",
        "Thank you so much!",
        "ok, thanks",
        "Good morning",
        "bye",
    ],
)
def test_politeness_alone_answers_nothing(text: str) -> None:
    reply = read_reply(text)
    assert reply.social
    assert reply.status is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("谢谢，没有", "absent"),
        ("医生，有", "present"),
        ("你好，不清楚", "unknown"),
        ("thanks, yes", "present"),
        ("hello, no", "absent"),
        ("No, thank you", "absent"),
    ],
)
def test_an_answer_beside_politeness_is_heard(text: str, status: str) -> None:
    reply = read_reply(text)
    assert reply.status == status
    assert not reply.social


@pytest.mark.parametrize(
    "text",
    [
        "你好，我头疼",
        "医生说我血压高",
        "谢谢，我胸口疼",
        "hi, my chest hurts",
        "good for nothing lately",
    ],
)
def test_politeness_before_a_complaint_is_not_all_of_it(text: str) -> None:
    assert not read_reply(text).social


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("胸闷是什么意思？", True),
        ("什么是胸闷", True),
        ("你说的胸闷是什么感觉", True),
        ("我胸闷是什么意思", False),
        ("胸闷是什么病，现在更重了", False),
        ("what is chest tightness?", True),
        ("What do you mean by chest tightness?", True),
        ("what does chest tightness feel like?", True),
        ("what is my chest tightness?", False),
        ("what is this chest tightness, it is getting worse", False),
    ],
)
def test_a_question_for_a_words_meaning_is_told_from_a_complaint(text: str, only: bool) -> None:
    spans = [(f.start, f.end) for f in Reader().read(text).findings]
    assert asks_for_meaning(text, spans) is only
