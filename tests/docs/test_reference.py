"""The reference page says what the code says."""

from __future__ import annotations

from pathlib import Path

from serving.reference import render

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == render(), "run: python -m serving.reference > docs/reference.md"
