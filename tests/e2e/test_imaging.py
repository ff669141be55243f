"""A second opinion on an image: upload, overlay, abstention, and nothing for patients."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]


def upload(tab: Page, server: Server, name: str, data: bytes, age: str) -> None:
    """Send one file from the upload page."""
    tab.goto(server.url + "/console/studies/new")
    tab.locator("#files").set_input_files([{"name": name, "mimeType": "", "buffer": data}])
    tab.locator("#age").fill(age)
    tab.locator("main form button").click()


@pytest.mark.data
def test_a_radiograph_gets_an_opinion_with_an_overlay(
    sign_in: Opener, server: Server, radiograph: Path
) -> None:
    tab = sign_in()
    upload(tab, server, radiograph.name, radiograph.read_bytes(), "3")
    tab.wait_for_selector(".case-page")
    study = tab.locator(".study")
    expect(study.locator(".bars li")).to_have_count(2)
    for words in ("工作点", "灵敏度", "特异度", "预测集", "OOD"):
        expect(study).to_contain_text(words)
    expect(tab.locator(".notice.ai")).to_contain_text("医疗器械")
    heat = study.locator("img.heat")
    assert heat.evaluate("img => img.complete && img.naturalWidth > 0")
    slider = study.locator("[data-opacity]")
    slider.focus()
    slider.press("Home")
    expect(heat).to_have_css("opacity", "0")
    slider.press("End")
    expect(heat).to_have_css("opacity", "1")
    expect(study.locator("output")).to_have_text("100 %")


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
    expect(tab.locator(".study .bars, img.heat")).to_have_count(0)


def test_a_picture_that_is_no_radiograph_gets_no_score(sign_in: Opener, server: Server) -> None:
    picture = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((300, 300)).save(picture, "PNG")
    tab = sign_in()
    upload(tab, server, "ball.png", picture.getvalue(), "3")
    tab.wait_for_selector(".case-page")
    expect(tab.locator(".study .notice.bad")).to_be_visible()
    expect(tab.locator("img.film")).to_have_count(1)


def test_a_file_that_is_no_image_is_refused_kindly(sign_in: Opener, server: Server) -> None:
    tab = sign_in()
    upload(tab, server, "notes.png", b"not a picture", "4")
    expect(tab.locator("#problem")).to_contain_text("不是影像")
    expect(tab.locator("#age")).to_have_value("4")


def test_a_patient_cannot_reach_the_upload(server: Server, page: Page) -> None:
    page.goto(server.url + "/console/studies/new")
    expect(page.locator("form.signin")).to_be_visible()
