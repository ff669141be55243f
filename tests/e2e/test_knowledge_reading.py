"""Reading the knowledge base at the console: find, read in place, propose an edit, decide on it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, no_sideways_scroll

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]
TABLET = {"width": 768, "height": 1024}


def test_a_hit_leads_to_its_place_in_the_document(sign_in: Opener, server: Server) -> None:
    tab = sign_in()
    tab.goto(server.url + "/console/knowledge")
    tab.locator("#q").fill("胸痛要问哪些伴随症状")
    tab.keyboard.press("Enter")
    hit = tab.locator(".hit").first
    words = hit.locator(".passage").inner_text()
    hit.locator("h2 a").click()
    tab.wait_for_url(re.compile(r"/console/knowledge/documents/[a-z-]+#\w+:\d+$"))
    meant = tab.locator(".passage:target")
    expect(meant).to_contain_text(words)
    expect(meant).to_be_in_viewport()
    expect(tab.locator(".notice")).to_contain_text(re.compile("审阅"))
    expect(tab.locator(".sources li").first).to_contain_text(re.compile(r"来源(已|未)核对"))
    expect(tab.locator(".versions")).to_contain_text("索引")


def test_documents_are_filtered_by_words_and_department(sign_in: Opener, server: Server) -> None:
    tab = sign_in(language="en")
    tab.goto(server.url + "/console/knowledge")
    tab.get_by_role("link", name="Cards and documents").click()
    expect(tab.locator(".documents tbody tr")).to_have_count(50)
    tab.get_by_role("link", name="More").click()
    expect(tab.locator(".documents tbody tr").first).to_be_visible()
    tab.get_by_label("Words of the title").fill("chest pain")
    tab.get_by_label("Department").select_option("cardiology")
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Filter").click()
    rows = tab.locator(".documents tbody tr")
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    expect(tab.locator("h1")).to_have_text("Chest pain in adults")
    expect(tab.locator(".reader section.card h2").first).to_have_text("When to worry")


def test_an_edit_is_proposed_and_another_physician_accepts_it(
    sign_in: Opener, server: Server
) -> None:
    tab, other = sign_in(), sign_in("colleague", language="en")
    tab.goto(server.url + "/console/knowledge/documents/acne")
    passage = tab.locator("[id='ask:1']")
    present = passage.locator(".prose").inner_text()
    passage.get_by_role("link", name="建议修改").focus()
    tab.keyboard.press("Enter")
    text = tab.get_by_label("建议的文字")
    expect(text).to_have_value(present)
    tab.get_by_label("理由").fill("<b>更短</b>")
    tab.get_by_role("button", name="提交建议").click()
    expect(tab.locator("#problem")).to_contain_text("和现在的一样")
    expect(tab.get_by_label("理由")).to_have_value("<b>更短</b>")
    text.fill("询问粉刺的起病和部位。")
    tab.get_by_label("发布机构").fill("AAD")
    tab.get_by_role("button", name="提交建议").click()
    expect(tab.locator("#problem")).to_contain_text("都填上")
    for label, words in (("题目", "Acne"), ("年份", "2024"), ("编号或 DOI", "doi:10.1/x")):
        tab.get_by_label(label).fill(words)
    tab.get_by_role("button", name="提交建议").click()
    tab.wait_for_url(re.compile(r"/console/knowledge/proposals#prp_"))
    mine = tab.locator("article:target")
    expect(mine).to_contain_text("由另一位医生决定")
    expect(mine.locator("ins").first).to_be_visible()
    expect(mine.get_by_role("button")).to_have_count(0)

    other.goto(server.url + "/console/knowledge/proposals")
    theirs = other.locator("article", has_text="询问粉刺的起病和部位。")
    expect(theirs).to_contain_text(present)
    expect(theirs).to_contain_text("<b>更短</b>")
    expect(theirs).to_contain_text("AAD: Acne (2024)")
    old = theirs.locator("form").get_attribute("action") or ""
    csrf = theirs.locator("[name=csrf]").input_value()
    theirs.get_by_label("Comment").fill("Agreed")
    theirs.get_by_role("button", name="Accept").click()
    other.wait_for_url(re.compile(r"state=accepted#prp_"))
    expect(other.locator("article:target")).to_contain_text("Accepted by Dr Chen")
    again = other.request.post(server.url + old, form={"csrf": csrf, "choice": "decline"})
    assert again.status == 409
    assert "decided already" in again.text()


def test_the_pages_fit_a_tablet_and_a_phone(sign_in: Opener, server: Server) -> None:
    pages = ("", "/documents", "/documents/acne", "/proposals?state=all",
             "/propose?passage=acne%23ask:2&language=en")  # fmt: skip
    for tab in (sign_in(phone=True), sign_in()):
        if not tab.evaluate("'ontouchstart' in window"):
            tab.set_viewport_size(TABLET)  # type: ignore[arg-type]
        for path in pages:
            tab.goto(server.url + "/console/knowledge" + path)
            expect(tab.locator("h1")).to_be_visible()
            assert no_sideways_scroll(tab), path


def test_what_is_not_there_is_said_in_words(sign_in: Opener, server: Server) -> None:
    tab = sign_in()
    for path in ("/documents/no-such-card", "/propose?passage=acne%23ask:99", "/propose"):
        answer = tab.goto(server.url + "/console/knowledge" + path)
        assert answer is not None
        assert answer.status == 404
        expect(tab.locator("h1")).to_have_text("没能完成")
    tab.goto(server.url + "/console/knowledge/documents?q=zzzz")
    expect(tab.locator(".empty")).to_contain_text("没有符合条件")
