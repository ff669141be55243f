"""A second opinion on an image: upload, overlay, abstention, and nothing for patients."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, Tabs

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]


def upload(tab: Page, server: Server, name: str, data: bytes, age: str) -> None:
    """Send one file from the upload page."""
    tab.goto(server.url + "/console/studies/new")
    tab.locator("input[name=task][value=cxr_pneumonia]").check()
    tab.locator("#files").set_input_files([{"name": name, "mimeType": "", "buffer": data}])
    tab.locator("#age").fill(age)
    tab.locator("main form button.primary").click()


@pytest.mark.data
def test_a_radiograph_gets_an_opinion_with_an_overlay(
    sign_in: Opener, server: Server, radiograph: Path
) -> None:
    tab = sign_in()
    upload(tab, server, radiograph.name, radiograph.read_bytes(), "3")
    tab.wait_for_selector(".case-page")
    study = tab.locator(".study")
    expect(study.locator(".reading > .bars li")).to_have_count(2)
    expect(study.locator(".research .bars li").first).not_to_be_visible()
    for words in ("工作点", "灵敏度", "特异度", "预测集", "OOD", "模型熟悉这类图像"):
        expect(study).to_contain_text(words)
    expect(tab.locator(".notice.ai").first).to_contain_text("医疗器械")
    tab.wait_for_selector("[data-viewer][data-heat-ready]")
    for address in ("report.dcm", "heatmap.dcm?image=0", "format=fhir"):
        expect(tab.locator(f".exports a[href*='{address}']")).to_have_count(1)


@pytest.mark.data
def test_the_opinion_is_signed_like_any_other(
    sign_in: Opener, server: Server, radiograph: Path
) -> None:
    tab = sign_in()
    upload(tab, server, radiograph.name, radiograph.read_bytes(), "3")
    tab.locator("#claim").click()
    tab.locator("details.act summary").click()
    tab.locator("#reason").select_option("image_quality")
    tab.locator("#label").select_option("pneumonia")
    tab.locator("#override [name=confirm]").check()
    tab.locator("#override button").click()
    expect(tab.locator("#signature")).to_contain_text("李医生")


@pytest.mark.data
def test_without_an_age_there_is_no_score(
    sign_in: Opener, server: Server, radiograph: Path
) -> None:
    tab = sign_in()
    upload(tab, server, radiograph.name, radiograph.read_bytes(), "")
    tab.wait_for_selector(".case-page")
    expect(tab.locator(".study")).to_contain_text("年龄未知")
    expect(tab.locator(".study .bars, [data-heat]")).to_have_count(0)


def test_a_picture_that_is_no_radiograph_gets_no_score(sign_in: Opener, server: Server) -> None:
    picture = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((300, 300)).save(picture, "PNG")
    tab = sign_in()
    upload(tab, server, "ball.png", picture.getvalue(), "3")
    tab.wait_for_selector(".case-page")
    expect(tab.locator(".study .notice.bad")).to_be_visible()
    tab.wait_for_selector("[data-viewer][data-ready]")


def test_a_file_that_is_no_image_is_refused_kindly(sign_in: Opener, server: Server) -> None:
    tab = sign_in()
    upload(tab, server, "notes.png", b"not a picture", "4")
    expect(tab.locator("#problem")).to_contain_text("不是影像")
    expect(tab.locator("#age")).to_have_value("4")


def test_every_file_is_listed_and_each_wrong_one_gets_its_own_words(
    sign_in: Opener, server: Server
) -> None:
    picture = io.BytesIO()
    Image.radial_gradient("L").resize((300, 300)).save(picture, "PNG")
    files = [
        {"name": "fine.png", "mimeType": "image/png", "buffer": picture.getvalue()},
        {"name": "notes.png", "mimeType": "image/png", "buffer": b"not a picture"},
        {"name": "cut.png", "mimeType": "image/png", "buffer": picture.getvalue()[:200]},
    ]
    tab = sign_in()
    tab.goto(server.url + "/console/studies/new")
    tab.locator("input[name=task][value=cxr_pneumonia]").check()
    tab.locator("#files").set_input_files(files)
    rows = tab.locator("#chosen li")
    expect(rows).to_have_count(3)
    tab.locator("#age").fill("3")
    tab.locator("main form button.primary").click()
    expect(tab.locator("#problem")).to_contain_text("2 个文件不能用")
    expect(rows.nth(0).locator(".file-problem")).to_be_empty()
    expect(rows.nth(1).locator(".file-problem")).to_contain_text("不是影像")
    expect(rows.nth(2).locator(".file-problem")).to_contain_text("损坏")
    rows.nth(2).get_by_role("button").click()
    rows.nth(1).get_by_role("button").click()
    expect(rows).to_have_count(1)
    tab.locator("main form button.primary").click()
    tab.wait_for_selector(".case-page")


def test_files_are_dropped_onto_the_page(sign_in: Opener, server: Server) -> None:
    tab = sign_in(language="en")
    tab.goto(server.url + "/console/studies/new")
    tab.evaluate(
        """() => {
          const held = new DataTransfer();
          held.items.add(new File(["x"], "one.dcm"));
          held.items.add(new File([], "two.dcm"));
          document.querySelector(".drop").dispatchEvent(
            new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true }));
        }"""
    )
    expect(tab.locator("#chosen li")).to_have_count(2)
    expect(tab.locator("#chosen li").nth(1)).to_contain_text("The file is empty.")
    assert tab.locator("#files").evaluate("input => input.files.length") == 2


def test_the_upload_works_without_scripts(server: Server, tabs: Tabs) -> None:
    tab = tabs.open(scripts=False)
    tab.goto(server.url + "/console")
    tab.get_by_label("API").fill(server.keys["physician"])
    tab.locator("main button").click()
    upload(tab, server, "notes.png", b"not a picture", "4")
    expect(tab.locator("#problem")).to_contain_text("不是影像")
    expect(tab.locator("#file-problems li")).to_have_count(1)
    expect(tab.locator("#age")).to_have_value("4")


def test_a_patient_cannot_reach_the_upload(server: Server, page: Page) -> None:
    page.goto(server.url + "/console/studies/new")
    expect(page.locator("form.signin")).to_be_visible()
