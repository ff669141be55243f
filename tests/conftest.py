"""Fixtures every test may use. Real parts only: real files, real models, a real database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Measuring how each model runs best takes seconds of every start; its own tests turn it on.
os.environ.setdefault("FENZHEN_TUNE", "false")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The public data sets, or a skip that says what is missing (mark such tests `data`)."""
    folder = Path(os.environ.get("FENZHEN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}: set FENZHEN_DATA to the folder that holds them")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's own event loop stays in the thread that started it."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
