"""The pages are light, need nothing from elsewhere, and keep to the Content-Security-Policy."""

from __future__ import annotations

import re

from serving.web import pages, static

LIGHT = 300_000
FETCHES = r"https?://(?!www\.w3\.org/2000/svg)|@import|\beval\("
FILES = [path for path in static.FOLDER.rglob("*") if path.is_file()]
OURS = [path for path in FILES if path.parent == static.FOLDER]


def test_all_that_a_page_can_load_is_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < LIGHT / 2


def test_vendored_code_carries_its_version_and_licence() -> None:
    for script in (static.FOLDER / "vendor").glob("*.js"):
        assert re.search(r"-\d+\.\d+\.\d+\.min\.js$", script.name)
        assert script.with_name(script.name.replace(".min.js", ".LICENSE.txt")).is_file()


def test_no_page_has_inline_script_style_or_foreign_address() -> None:
    for path in pages.TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), path.name
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path.name
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
        assert "|safe" not in text.replace(" ", ""), path.name


def test_our_scripts_and_style_fetch_nothing() -> None:
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        assert not re.search(FETCHES, text), path.name


def test_an_address_changes_with_the_content() -> None:
    assert re.fullmatch(r"/static/app\.css\?v=[0-9a-f]{12}", static.url("app.css"))
