"""A real server in its own process and a real Chromium, for tests of what people see.

`server` gives the address and a key of every user to any test that talks HTTP. `page` is a
browser tab that fails its test when the browser reports an error: a script that throws, or
anything that the Content-Security-Policy had to block.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from serving.storage.codes import Role
from tests.servers import ServerProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
USERS = {"physician": "李医生", "colleague": "Dr Chen", "administrator": "管理员"}
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 860}


@dataclass(frozen=True)
class Server:
    """A running server. `keys` are by the names of USERS, and `patient_app`."""

    url: str
    keys: dict[str, str]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a free port with a folder of its own and the users of USERS."""
    process = ServerProcess(
        tmp_path_factory.mktemp("e2e"),
        {"FENZHEN_LOG_LEVEL": "warning", "FENZHEN_ALLOW_NONCOMMERCIAL": "true"},
    )
    keys = {
        name: process.add_user(shown, Role.PHYSICIAN if name == "colleague" else Role(name))
        for name, shown in USERS.items()
    }
    keys["patient_app"] = process.add_user("Patient app", Role.PATIENT_APP)
    try:
        process.start()
        yield Server(process.url, keys)
        assert process.end() == 0, "a server that is told to stop ends cleanly"
    finally:
        process.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or a skip that says what is missing."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: install Debian's package `chromium` to run the browser tests")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@dataclass
class Tabs:
    """Opens tabs in contexts of their own and collects what the browser complains of."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, *, phone: bool = False, scripts: bool = True) -> Page:
        """A fresh tab with its own cookies."""
        context = self.browser.new_context(
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            has_touch=phone,
            java_script_enabled=scripts,
            locale="zh-CN",
        )
        self.contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(15_000)
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("console", lambda message: self._heard(message.type, message.text))
        return tab

    def _heard(self, kind: str, text: str) -> None:
        # A refusal that a test asked for (401, 409, 422) is no fault of the page.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(text)


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Tabs whose complaints fail the test."""
    opened = Tabs(browser)
    yield opened
    for context in opened.contexts:
        context.close()
    assert opened.complaints == []


@pytest.fixture
def page(tabs: Tabs) -> Page:
    """One desktop tab."""
    return tabs.open()


@pytest.fixture
def sign_in(server: Server, tabs: Tabs) -> Callable[..., Page]:
    """Opens the console for one of USERS, in Chinese unless told otherwise."""

    def signed_in(who: str = "physician", *, language: str = "zh", phone: bool = False) -> Page:
        tab = tabs.open(phone=phone)
        tab.goto(f"{server.url}/console?lang={language}")
        tab.get_by_label("API").fill(server.keys[who])
        tab.locator("main button").click()
        tab.wait_for_selector("#worklist")
        tab.wait_for_load_state()  # the scripts that keys need run last
        return tab

    return signed_in


@pytest.fixture
def consult(server: Server, tabs: Tabs) -> Callable[..., Page]:
    """Agrees to the consent card and opens the chat."""

    def opened(
        *,
        language: str | None = None,
        age: str = "",
        sex: str = "",
        phone: bool = False,
        scripts: bool = True,
    ) -> Page:
        tab = tabs.open(phone=phone, scripts=scripts)
        tab.goto(server.url + ("/" if language is None else f"/?lang={language}"))
        tab.locator("#age").fill(age)
        if sex:
            tab.locator(f"input[value={sex}]").check(force=True)
        tab.locator("input[name=understood]").check()
        tab.locator("input[name=health_data]").check()
        tab.locator("form.consent button").click()
        tab.wait_for_selector("#text")
        return tab

    return opened


@pytest.fixture(scope="session")
def radiograph(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A child's chest radiograph from the public set."""
    with zipfile.ZipFile(data_dir / "imaging" / "cxr_pneumonia.dev.zip") as archive:
        name = next(n for n in sorted(archive.namelist()) if n.endswith((".jpeg", ".png")))
        target = tmp_path_factory.mktemp("films") / ("film" + Path(name).suffix)
        target.write_bytes(archive.read(name))
    return target


def say(tab: Page, words: str) -> None:
    """Send words and wait for the answer."""
    before = tab.locator("[data-answer]").count()
    tab.locator("#text").fill(words)
    tab.locator("button.send").click()
    tab.locator("[data-answer]").nth(before).wait_for()


def no_sideways_scroll(tab: Page) -> bool:
    """Whether the page fits its window."""
    return bool(
        tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    )
