"""What a patient sees: consent, answers, quick replies, alarms, errors, both languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, Tabs, no_sideways_scroll, say

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]
MILD = "我流鼻涕、打喷嚏两天了，嗓子有点疼，没有发烧"
HEART_ZH = "胸口压榨样疼痛，出冷汗，疼到左胳膊，已经半小时了"
HEART_EN = "Crushing chest pain for 30 minutes, spreading to my left arm, sweating"


def test_the_chat_opens_only_after_both_consents(server: Server, page: Page) -> None:
    page.goto(server.url)
    expect(page.locator(".emergency-strip a[href='tel:120']")).to_be_visible()
    page.locator("input[name=understood]").check()
    page.locator("form.consent button").click()
    expect(page.locator("input[name=health_data]")).to_be_focused()
    expect(page.locator("#text")).to_have_count(0)


def test_consent_is_checked_by_the_server_too(server: Server, page: Page) -> None:
    page.goto(server.url)
    answer = page.request.post(server.url + "/chat/start", form={"understood": "yes"})
    assert answer.status == 422
    assert "两项都同意" in answer.text()


def test_a_mild_complaint_gets_urgency_department_and_basis(consult: Opener) -> None:
    tab = consult(age="30", sex="female")
    say(tab, MILD)
    answer = tab.locator("[data-answer]").last
    assert re.search(r"第 [345] 级", answer.locator(".urgency").inner_text())
    expect(answer.locator(".places li").first).to_be_visible()
    expect(answer.locator(".chip.absent", has_text="发热")).to_be_visible()
    expect(answer.locator(".chip.present", has_text="流")).to_be_visible()
    expect(tab.locator("#composer .ai-label")).to_contain_text("AI 生成")


def test_no_probability_is_ever_shown_to_a_patient(consult: Opener) -> None:
    tab = consult(age="30")
    say(tab, MILD)
    assert "%" not in tab.locator("#log").inner_text()


def test_a_mild_complaint_is_first_asked_to_be_told_in_own_words(consult: Opener) -> None:
    tab = consult(age="30", sex="female")
    say(tab, MILD)
    expect(tab.locator(".quick .quick-present")).to_have_count(0)
    expect(tab.locator(".quick .hint")).to_contain_text("自己的话")
    question = tab.locator(".quick legend").inner_text()
    expect(tab.get_by_role("textbox", name=question)).to_be_focused()
    say(tab, "前天淋雨以后开始的，越来越重")
    assert tab.locator(".quick legend").inner_text() != question


def test_a_quick_reply_answers_the_question(consult: Opener) -> None:
    tab = consult(age="30", sex="female")
    say(tab, MILD)
    question = tab.locator(".quick legend").inner_text()
    tab.locator(".why summary").click()
    expect(tab.locator(".why p")).to_be_visible()
    tab.get_by_role("button", name="不清楚").click()
    tab.locator("[data-answer]").nth(1).wait_for()
    expect(tab.locator(".patient-turn").last).to_contain_text(question)
    expect(tab.locator(".choice-made")).to_have_text("不清楚")
    if tab.locator(".quick legend").count():
        assert tab.locator(".quick legend").inner_text() != question


@pytest.mark.parametrize("language", ["zh", "en"])
def test_several_findings_are_ticked_with_the_keyboard(consult: Opener, language: str) -> None:
    tab = consult(language=language, age="30", sex="female")
    say(tab, "胸口有点闷" if language == "zh" else "My chest feels a bit tight")
    first, second = (tab.locator(".ticks input").nth(n) for n in range(2))
    expect(first).to_be_focused()
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")
    expect(second).to_be_focused()
    ticked = tab.locator(".ticks label").first.inner_text()
    tab.keyboard.press("Enter")
    tab.locator("[data-answer]").nth(1).wait_for()
    expect(tab.locator(".choice-made")).to_have_text(ticked)


def test_ticking_nothing_is_said_in_words_and_loses_nothing(consult: Opener) -> None:
    tab = consult(age="30", sex="female", phone=True)
    say(tab, "胸口有点闷")
    question = tab.locator(".quick legend").inner_text()
    tab.get_by_role("button", name="选好了").click()
    expect(tab.locator("#composer .notice.bad")).to_contain_text("请先勾选")
    expect(tab.locator(".quick legend")).to_have_text(question)
    assert no_sideways_scroll(tab)


def test_a_question_back_is_answered_before_the_advice(consult: Opener) -> None:
    tab = consult(age="30", sex="female")
    say(tab, "胸口有点闷")
    say(tab, "为什么问这个？")
    answer = tab.locator("[data-answer]").last
    expect(answer.locator(".explanation")).to_contain_text("您问为什么")
    expect(answer.locator(".as-before .watch")).to_be_hidden()
    answer.locator(".as-before > summary").click()
    expect(answer.locator(".as-before .watch li").first).to_be_visible()


def test_the_list_for_the_doctor_can_be_copied(consult: Opener) -> None:
    tab = consult(age="30", sex="female")
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    say(tab, MILD)
    answer = tab.locator("[data-answer]")
    expect(answer.locator(".block.return li").first).to_be_visible()
    expect(answer.locator(".block.return .cite").first).to_contain_text("依据")
    expect(answer.locator(".tell h3")).to_have_text("告诉医生")
    answer.locator("[data-copy]").click()
    expect(answer.locator("[data-copied]")).to_have_text("已复制")
    copied = tab.evaluate("navigator.clipboard.readText()")
    lines = answer.locator("[data-copy-text] li").all_inner_texts()
    assert copied.splitlines() == lines
    assert any("发热" in line for line in lines)


@pytest.mark.parametrize(
    ("language", "words", "call"), [("zh", HEART_ZH, "拨打 120"), ("en", HEART_EN, "Call 120")]
)
def test_an_emergency_is_an_alarm_with_a_number_to_call(
    consult: Opener, language: str, words: str, call: str
) -> None:
    tab = consult(language=language, age="58", sex="male", phone=True)
    say(tab, words)
    alarm = tab.locator(".alarm-turn .urgency.level-1")
    expect(alarm).to_have_attribute("role", "alert")
    expect(alarm.get_by_role("link", name=call)).to_have_attribute("href", "tel:120")
    assert alarm.bounding_box()["width"] == 360  # type: ignore[index]
    expect(tab.locator(".quick")).to_have_count(0)
    told = "急救或急诊人员" if language == "zh" else "ambulance or emergency staff"
    expect(tab.locator(".tell h3")).to_contain_text(told)
    assert no_sideways_scroll(tab)


def test_english_words_on_the_chinese_page_get_an_english_answer(consult: Opener) -> None:
    tab = consult(age="58")
    say(tab, HEART_EN)
    answer = tab.locator("[data-answer]")
    expect(answer).to_have_attribute("lang", "en")
    expect(answer.locator("h2")).to_contain_text("ambulance")


def test_a_crisis_names_the_line_to_call(consult: Opener) -> None:
    tab = consult()
    say(tab, "我不想活了，想自杀，已经准备好了安眠药")
    crisis = tab.locator(".crisis")
    expect(crisis.get_by_role("link", name="12356")).to_have_attribute("href", "tel:12356")
    expect(crisis.get_by_role("link", name="120")).to_have_count(1)


def test_what_is_not_understood_is_said_and_never_called_fine(consult: Opener) -> None:
    tab = consult()
    say(tab, "呃呃那个嘛就是那样")
    answer = tab.locator("[data-answer]")
    expect(answer).to_contain_text("没有听懂")
    expect(answer.locator(".urgency.level-5")).to_have_count(0)


def test_html_in_a_message_is_shown_as_text(consult: Opener) -> None:
    tab = consult()
    words = "<img src=x onerror=alert(1)><b id=bad>头痛</b>两天"
    say(tab, words)
    expect(tab.locator(".patient-turn .words")).to_have_text(words)
    tab.reload()
    expect(tab.locator(".patient-turn .words")).to_have_text(words)
    expect(tab.locator("#bad, #log img")).to_have_count(0)


def test_an_error_keeps_what_was_typed(consult: Opener) -> None:
    tab = consult()
    tab.locator("#text").fill("Привет, у меня болит голова")
    tab.locator("button.send").click()
    problem = tab.locator("#composer .notice.bad")
    expect(problem).to_contain_text("中文和英文")
    expect(problem).to_contain_text("120")
    expect(tab.locator("#text")).to_have_value("Привет, у меня болит голова")
    tab.locator("#text").fill("头" * 9000)
    tab.locator("button.send").click()
    expect(problem).to_contain_text("8000")
    assert len(tab.locator("#text").input_value()) == 9000


def test_the_language_switch_is_remembered(consult: Opener, server: Server) -> None:
    tab = consult()
    say(tab, MILD)
    tab.locator("#lang-switch").click()
    expect(tab.locator("html")).to_have_attribute("lang", "en")
    expect(tab.locator("[data-answer] h2").first).not_to_contain_text("居家")
    tab.goto(server.url)
    expect(tab.locator("button.send")).to_contain_text("Send")


def test_larger_type_changes_in_place(consult: Opener) -> None:
    tab = consult(phone=True)
    tab.locator("#text").fill("还没写完")
    tab.locator("#type-toggle").click()
    expect(tab.locator("html")).to_have_class("large")
    expect(tab.locator("#text")).to_have_value("还没写完")
    assert no_sideways_scroll(tab)
    tab.reload()
    expect(tab.locator("html")).to_have_class("large")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_phone_never_scrolls_sideways(consult: Opener, language: str) -> None:
    tab = consult(language=language, phone=True, age="30")
    assert no_sideways_scroll(tab)
    say(tab, MILD)
    assert no_sideways_scroll(tab)


def test_ending_keeps_the_words_and_starting_again_forgets_them(consult: Opener) -> None:
    tab = consult()
    say(tab, MILD)
    tab.locator(".menu summary").click()
    tab.locator("form[action='/chat/end'] button").click()
    expect(tab.locator("#composer")).to_contain_text("对话已结束")
    expect(tab.locator(".patient-turn")).to_have_count(1)
    tab.locator("#composer form button").click()
    expect(tab.locator("form.consent")).to_be_visible()


def test_the_chat_works_without_scripts(consult: Opener) -> None:
    tab = consult(scripts=False, age="30")
    tab.locator("#text").fill(MILD)
    tab.locator("button.send").click()
    expect(tab.locator("[data-answer]")).to_have_count(1)
    expect(tab.locator(".urgency")).to_be_visible()


def test_a_consult_is_reached_by_its_cookie_alone(
    consult: Opener, server: Server, tabs: Tabs
) -> None:
    tab = consult()
    say(tab, MILD)
    cookie = next(c for c in tab.context.cookies() if c["name"] == "fenzhen_consult")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert tab.url.split("#")[0] == server.url + "/"
    stranger = tabs.open()
    stranger.goto(server.url)
    expect(stranger.locator("form.consent")).to_be_visible()


def test_a_turn_without_the_consults_token_is_refused(consult: Opener, server: Server) -> None:
    tab = consult()
    answer = tab.request.post(server.url + "/chat/turn", form={"text": "头痛", "csrf": "x"})
    assert answer.status == 403
    tab.reload()
    expect(tab.locator(".patient-turn")).to_have_count(0)


def test_a_form_from_another_site_is_refused(server: Server, page: Page) -> None:
    answer = page.request.post(
        server.url + "/chat/start",
        form={"understood": "yes", "health_data": "yes"},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status == 403
