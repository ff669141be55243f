"""Which of a patient's words triage reads as messages, and which only stay in the chat."""

from __future__ import annotations

import time

import pytest

from models.repository import ModelRepository
from models.tasks.triage import TriageTask
from models.triage.conversation import Conversation
from models.triage.questions import DESCRIBE, GREETED, UNWELL
from models.triage.replies import read_reply
from models.triage.request import TriageRequest
from models.triage.result import TriageResult

TASK = TriageTask(ModelRepository().get("department"))


def judge(talk: Conversation) -> TriageResult:
    request = TriageRequest(messages=talk.messages, answers=dict(talk.answers))
    return TASK.finish(TASK.read(request), {})


def after(*texts: str) -> Conversation:
    talk = Conversation()
    for text in texts:
        talk = talk.hear(text)
        talk = talk.ask(judge(talk))
    return talk


@pytest.mark.parametrize(
    ("complaint", "idle"),
    [
        ("头疼两天", "为什么问这个？"),
        ("头疼两天", "什么意思"),
        ("头疼两天", "要紧吗？"),
        ("头疼两天", "胸闷是什么意思？"),
        ("头疼两天", "谢谢医生"),
        ("头疼两天", "你好"),
        ("headache for two days", "why do you ask that?"),
        ("headache for two days", "what do you mean by that?"),
        ("headache for two days", "what is chest tightness?"),
        ("headache for two days", "Thank you"),
        ("headache for two days", "hello"),
    ],
)
def test_a_question_back_or_politeness_changes_nothing(complaint: str, idle: str) -> None:
    before = after(complaint)
    later = before.hear(idle).ask(judge(before))
    assert later.messages == before.messages
    assert later.answers == before.answers
    assert later.question == before.question
    assert later.missed == before.missed


@pytest.mark.parametrize(
    ("complaint", "telling"),
    [
        ("头疼两天", "为什么问这个？我现在胸口压榨样疼，出冷汗"),
        ("头疼两天", "要紧吗？我没有发烧"),
        ("头疼两天", "要紧吗，我今年80岁"),
        ("headache for two days", "why do you ask? my arm is weak"),
        ("headache for two days", "is that serious? I have no fever"),
        ("headache for two days", "thank you, my chest hurts now"),
    ],
)
def test_a_question_back_that_also_tells_something_is_heard(complaint: str, telling: str) -> None:
    assert after(complaint).hear(telling).messages[-1] == telling


def test_an_answer_stays_an_answer_beside_thanks() -> None:
    talk = after("头疼两天")
    assert talk.question is not None
    heard = talk.hear("没有，谢谢")
    assert heard.answered == talk.question


@pytest.mark.parametrize(
    ("greeting", "complaint"), [("你好", "胸口压榨样疼"), ("Hello doctor", "crushing chest pain")]
)
def test_the_complaint_takes_the_place_of_a_greeting(greeting: str, complaint: str) -> None:
    greeted = after(greeting)
    assert greeted.messages == (greeting,)
    assert greeted.question is not None
    assert greeted.question.code == GREETED
    assert greeted.hear(complaint).messages == (complaint,)


REQUESTS = [
    "我想复印一下住院病历",
    "请问怎么挂号，专家号多少钱",
    "我想办健康证",
    "发票丢了能补吗，打印发票在哪",
    "医保报销多少",
    "I need a sick note for my boss",
    "What are your opening hours? Are you open on weekends?",
    "How much does an MRI cost, does insurance cover it?",
    "I want to reschedule my appointment",
    "Can I get a copy of my medical records?",
]


@pytest.mark.parametrize("text", REQUESTS)
def test_who_only_wants_a_paper_is_asked_once_whether_somebody_is_ill(text: str) -> None:
    talk = after(text)
    assert talk.question is not None
    assert talk.question.code == UNWELL
    done = talk.hear(answer="absent")
    assert done.ask(judge(done)).question is None


@pytest.mark.parametrize(
    ("request_", "complaint", "level"),
    [
        ("我想复印一下住院病历", "有，胸口压榨样疼，出冷汗", 1),
        ("I need a sick note for my boss", "yes, crushing chest pain and sweating", 1),
        ("我想复印病历，另外我想自杀", "", 2),
    ],
)
def test_a_request_hides_no_red_flag(request_: str, complaint: str, level: int) -> None:
    talk = after(*filter(None, (request_, complaint)))
    assert judge(talk).disposition.level <= level


def test_a_yes_without_words_goes_on_with_the_interview() -> None:
    talk = after("我想复印一下住院病历").hear("有")
    following = talk.ask(judge(talk)).question
    assert following is not None
    assert following.code != UNWELL


@pytest.mark.parametrize(
    ("text", "no"),
    [
        ("我想学心肺复苏怎么做", "没有"),
        ("谢谢您，上次开的药效果不错", "没有"),
        ("Thank you doctor, the medicine worked well", "no"),
    ],
)
def test_who_says_that_nothing_is_wrong_is_left_in_peace_and_looked_at(text: str, no: str) -> None:
    talk = after(text)
    assert talk.question is not None
    assert talk.question.code == DESCRIBE
    done = talk.hear(no)
    assert done.ask(judge(done)).question is None
    assert judge(done).disposition.level == judge(talk).disposition.level
    assert judge(done).review.required


def test_a_complaint_after_nothing_is_wrong_is_pursued() -> None:
    talk = after("我想学心肺复苏怎么做", "没有", "其实我胸口有点闷")
    assert talk.question is not None


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("呃呃那个嘛就是那样", "没有，就是浑身哪里都觉得别扭得慌说不清楚"),
        ("well it is like that thing", "no, it just is all wrong inside somehow"),
    ],
)
def test_a_no_with_more_words_is_still_asked_about(text: str, odd: str) -> None:
    assert after(text, odd).question is not None


@pytest.mark.parametrize(
    "question",
    ["胸口疼是怎么回事", "胸痛怎么回事", "便血是怎么回事", "what is this chest pain about?"],
)
def test_a_complaint_put_as_a_question_is_read(question: str) -> None:
    talk = Conversation().hear("头晕两天了")
    talk = talk.ask(judge(talk))
    assert talk.question is not None
    assert question in talk.hear(question).messages


def test_what_answers_the_question_for_the_complaint_counts_as_told_unasked() -> None:
    talk = Conversation().hear("你好")
    talk = talk.ask(judge(talk))
    vague = talk.hear("说不清楚")
    assert "说不清楚" not in vague.unasked
    unknown = talk.hear("我老汉儿坐起一声不吭，手按到心口")
    assert "我老汉儿坐起一声不吭，手按到心口" in unknown.unasked
    talk = talk.hear("女儿5岁时不时抽搐")
    assert "女儿5岁时不时抽搐" in talk.unasked


@pytest.mark.parametrize(
    "text", ["谢谢" + "你了" * 2000 + "疼", "谢" * 4000 + "疼", "thank you " * 800 + "x"]
)
def test_politeness_without_end_is_read_in_no_time(text: str) -> None:
    began = time.perf_counter()
    read_reply(text)
    assert time.perf_counter() - began < 0.5
