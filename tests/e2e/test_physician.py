"""What a physician does at the console: sign in, work through the list, sign, override."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, no_sideways_scroll, say

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]
CASE = re.compile(r"/console/cases/rev_\w+$")
EMERGENCY = "我爸爸以前中风过，我胸口压榨样疼痛，出冷汗，没有呕吐，疼到左胳膊半小时了"


@pytest.fixture
def waiting(consult: Opener) -> None:
    """One emergency and one case that was not understood wait in the queue."""
    tab = consult(age="58", sex="male")
    say(tab, EMERGENCY)
    say(consult(), "呃呃那个嘛就是那样")


def open_emergency(tab: Page) -> str:
    """Open the newest free emergency; returns its address."""
    row = tab.locator("tr[data-task]:has(.badge.level-1):has(.state.open)").last
    row.locator("td.go a").click()
    tab.wait_for_url(CASE)
    return tab.url


def test_a_wrong_key_and_a_patients_key_get_the_same_refusal(server: Server, page: Page) -> None:
    page.goto(server.url + "/console")
    said = []
    for key in ("fz_" + "x" * 43, "nonsense", server.keys["patient_app"]):
        page.get_by_label("API").fill(key)
        page.locator("main button").click()
        said.append(page.locator(".notice.bad").inner_text())
        assert key not in page.content()
    assert len(set(said)) == 1


def test_every_page_of_the_console_asks_to_sign_in(server: Server, page: Page) -> None:
    for path in ("", "/cases/rev_1", "/studies/new", "/acuity", "/knowledge", "/models", "/audit"):
        page.goto(server.url + "/console" + path)
        expect(page.locator("form.signin")).to_be_visible()


@pytest.mark.usefixtures("waiting")
def test_the_worklist_shows_the_most_urgent_first(sign_in: Opener) -> None:
    tab = sign_in()
    rows = tab.locator("tr[data-task]:has(.badge:not(.none))").all()
    shown = [(row.inner_text(), row.locator(".tag").all_inner_texts()) for row in rows]
    # A crisis ranks with level 1; what is only sampled for the audit waits at the end.
    ranks = [
        1 if "心理危机" in tags else int(text.strip()[0])
        for text, tags in shown
        if tags != ["随机抽查"]
    ]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    assert ranks[-1] > 1
    for figure in ("待领取", "已超时", "中位用时", "抽样一致率"):
        expect(tab.locator(".figures")).to_contain_text(figure)
    assert tab.locator("#worklist").get_attribute("hx-trigger") == "every 15s"


@pytest.mark.usefixtures("waiting")
def test_the_filters_narrow_the_worklist(sign_in: Opener) -> None:
    tab = sign_in()
    tab.get_by_role("link", name="影像", exact=True).click()
    expect(tab.locator(".kind", has_text="分诊")).to_have_count(0)
    tab.get_by_role("link", name="分诊", exact=True).click()
    expect(tab.locator("tr[data-task]").first).to_be_visible()


@pytest.mark.usefixtures("waiting")
def test_keys_move_and_open(sign_in: Opener) -> None:
    tab = sign_in()
    tab.keyboard.press("j")
    expect(tab.locator("tr[data-task]").nth(0)).to_have_class(re.compile("selected"))
    tab.keyboard.press("j")
    expect(tab.locator("tr[data-task]").nth(1)).to_have_class(re.compile("selected"))
    tab.keyboard.press("k")
    tab.keyboard.press("Enter")
    tab.wait_for_url(CASE)


@pytest.mark.usefixtures("waiting")
def test_the_evidence_is_marked_in_the_patients_words(sign_in: Opener) -> None:
    tab = sign_in()
    open_emergency(tab)
    assert "".join(tab.locator(".message-words").all_inner_texts()) == EMERGENCY
    marks = tab.locator(".message mark.ev")
    expect(marks.filter(has_text="疼").first).to_have_class(re.compile("present"))
    expect(marks.filter(has_text="呕吐")).to_have_class(re.compile("absent"))
    expect(marks.filter(has_text="中风")).to_have_class(re.compile("relative|past"))
    assert "HP:" in " ".join(
        marks.nth(i).get_attribute("data-tip") or "" for i in range(marks.count())
    )
    expect(tab.locator(".legend li")).not_to_have_count(0)
    expect(tab.locator(".rule .sources li").first).to_be_visible()
    expect(tab.locator(".bars li").first).to_be_visible()


@pytest.mark.usefixtures("waiting")
def test_a_physician_claims_and_signs_once_and_nobody_signs_again(sign_in: Opener) -> None:
    tab, other = sign_in(), sign_in("colleague", language="en")
    address = open_emergency(tab)
    tab.locator("#claim").click()
    expect(tab.locator("#lease")).to_contain_text("领取有效至")
    token = tab.locator("#sign input[name=token]").get_attribute("value")

    other.goto(address)
    expect(other.locator(".actions")).to_contain_text("李医生 is reviewing")
    expect(other.locator("#sign")).to_have_count(0)

    tab.keyboard.press("s")
    expect(tab.locator("#sign-confirm")).to_be_focused()
    tab.keyboard.press("Space")
    tab.locator("#sign-comment").fill("同意，已电话联系 <b>患者</b>")
    tab.locator("#sign button").click()
    signature = tab.locator("#signature")
    expect(signature).to_contain_text("李医生")
    expect(signature.locator("time")).to_be_visible()
    expect(signature.locator("blockquote")).to_have_text("同意，已电话联系 <b>患者</b>")

    # The colleague's old window tries to sign as well.
    csrf = other.locator("input[name=csrf]").first.get_attribute("value")
    again = other.request.post(
        address + "/sign", form={"csrf": csrf or "", "token": token or "", "confirm": "yes"}
    )
    assert again.status == 409
    assert "already signed this decision" in again.text()
    assert "李医生" in again.text()


@pytest.mark.usefixtures("waiting")
def test_signing_needs_the_confirmation(sign_in: Opener) -> None:
    tab = sign_in()
    address = open_emergency(tab)
    tab.locator("#claim").click()
    form = tab.locator("#sign")
    answer = tab.request.post(
        address + "/sign",
        form={
            "csrf": form.locator("[name=csrf]").input_value(),
            "token": form.locator("[name=token]").input_value(),
        },
    )
    assert answer.status == 422
    assert "请先勾选确认" in answer.text()


@pytest.mark.usefixtures("waiting")
def test_an_override_needs_a_reason_and_keeps_the_correction(sign_in: Opener) -> None:
    tab = sign_in()
    open_emergency(tab)
    tab.locator("#claim").click()
    tab.locator("details.act summary").click()
    form = tab.locator("#override")
    form.locator("#reason").select_option("other")
    form.locator("#disposition").select_option("3")
    form.locator("#department").select_option("cardiology")
    form.locator("[name=confirm]").check()
    form.locator("button").click()
    expect(tab.locator("#problem")).to_contain_text("备注")
    expect(form.locator("#disposition")).to_have_value("3")
    form.locator("#override-comment").fill("既往已排除冠心病")
    form.locator("[name=confirm]").check()
    form.locator("button").click()
    signature = tab.locator("#signature")
    expect(signature).to_contain_text("已改判")
    expect(signature).to_contain_text("3 24小时内")
    expect(signature).to_contain_text("心血管内科")


@pytest.mark.usefixtures("waiting")
def test_a_released_case_is_free_again(sign_in: Opener) -> None:
    tab = sign_in()
    address = open_emergency(tab)
    tab.locator("#claim").click()
    tab.locator("#lease button").click()
    tab.wait_for_selector("#worklist")
    tab.goto(address)
    expect(tab.locator("#claim")).to_be_visible()


@pytest.mark.usefixtures("waiting")
def test_a_lost_lease_is_said_in_words(sign_in: Opener) -> None:
    first, second = sign_in(), sign_in()
    address = open_emergency(first)
    first.locator("#claim").click()
    second.goto(address)
    second.get_by_role("button", name="在这里继续").click()
    expect(second.locator("#sign")).to_be_visible()
    first.locator("#sign-confirm").check()
    first.locator("#sign button").click()
    expect(first.locator("#problem")).to_contain_text("已失效")


@pytest.mark.usefixtures("waiting")
def test_n_claims_the_next_task(sign_in: Opener) -> None:
    tab = sign_in()
    tab.keyboard.press("n")
    tab.wait_for_url(CASE)
    expect(tab.locator("#sign")).to_be_visible()
    tab.locator("#lease button").click()


@pytest.mark.usefixtures("waiting")
def test_an_administrator_reads_and_signs_nothing(sign_in: Opener) -> None:
    tab = sign_in("administrator")
    tab.locator("tr[data-task] td.go a").first.click()
    expect(tab.locator(".actions")).to_contain_text("只有医生")
    expect(tab.locator("#sign, #claim")).to_have_count(0)
    tab.get_by_role("link", name="审计").click()
    expect(tab.locator(".notice.good")).to_contain_text("审计链完整")
    expect(tab.locator("main")).not_to_contain_text("胸口")


def test_the_audit_page_is_for_administrators(sign_in: Opener, server: Server) -> None:
    tab = sign_in()
    expect(tab.get_by_role("link", name="审计")).to_have_count(0)
    answer = tab.goto(server.url + "/console/audit")
    assert answer is not None
    assert answer.status == 403
    expect(tab.locator("h1")).to_have_text("没能完成")


def test_knowledge_is_searched_in_the_language_of_the_page(sign_in: Opener, server: Server) -> None:
    tab = sign_in(language="en")
    tab.goto(server.url + "/console/knowledge")
    tab.locator("#q").fill("fever in a child")
    tab.keyboard.press("Enter")
    expect(tab.locator(".hit").first).to_contain_text(re.compile("fever", re.IGNORECASE))
    expect(tab.locator(".hit .sources li").first).to_be_visible()


def test_the_models_page_shows_cards_and_measures(sign_in: Opener, server: Server) -> None:
    tab = sign_in(language="en")
    tab.goto(server.url + "/console/models")
    expect(tab.locator(".model", has_text="cxr_pneumonia@")).to_contain_text("Sensitivity")


@pytest.mark.usefixtures("waiting")
def test_the_console_fits_a_phone(sign_in: Opener, server: Server) -> None:
    tab = sign_in(phone=True)
    assert no_sideways_scroll(tab)
    for path in ("/studies/new", "/knowledge", "/models"):
        tab.goto(server.url + "/console" + path)
        assert no_sideways_scroll(tab)
    tab.goto(server.url + "/console")
    tab.locator("td.go a").first.click()
    tab.wait_for_selector(".case-page")
    assert no_sideways_scroll(tab)


@pytest.mark.parametrize("phone", [False, True])
def test_acuity_is_graded_from_the_form_and_its_case_opens(
    sign_in: Opener, server: Server, phone: bool
) -> None:
    tab = sign_in(phone=phone)
    tab.goto(server.url + "/console/acuity")
    assert no_sideways_scroll(tab)
    tab.get_by_label("主诉").fill("胸口压榨样疼痛半小时，出冷汗")
    tab.locator("#age").fill("58")
    tab.locator("#spo2").fill("84")
    tab.get_by_role("button", name="分级").click()
    answer = tab.locator("#answer")
    expect(answer.locator(".acuity-number")).to_have_text(re.compile("[12]"))
    expect(answer).to_contain_text("NEWS2")
    expect(answer.locator(".points .scored").first).to_be_visible()
    expect(tab.locator("#spo2")).to_have_value("84")
    assert no_sideways_scroll(tab)
    answer.get_by_role("link", name="打开复核病例").click()
    tab.wait_for_url(CASE)
    expect(tab.locator(".message-words")).to_have_text("胸口压榨样疼痛半小时，出冷汗")
    expect(tab.locator(".acuity-number")).to_be_visible()
    assert no_sideways_scroll(tab)
    tab.goto(server.url + "/console?view=acuity")
    expect(tab.locator(".kind", has_text="急诊分级").first).to_be_visible()
    expect(tab.locator("tr .kind", has_text=re.compile("^分诊$"))).to_have_count(0)


def test_signing_out_ends_the_session(sign_in: Opener, server: Server) -> None:
    tab = sign_in()
    tab.locator("form[action='/console/signout'] button").click()
    tab.goto(server.url + "/console")
    expect(tab.locator("form.signin")).to_be_visible()
