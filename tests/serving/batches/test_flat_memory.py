"""A thousand studies through a real server: its memory stays what it was after the first two
hundred.

Prints images per second and resident memory: the figures of docs/batches.md come from here.

    FENZHEN_DATA=… pytest -s tests/serving/batches/test_flat_memory.py
"""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.serving.api.test_batches import ZIP
from tests.serving.batches.servers import BatchServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

STUDIES, FIRST = 1_000, 200
GROWTH = 1.10
DEV_SET = Path("imaging") / "cxr_pneumonia.dev.zip"


def _pictures() -> Iterator[tuple[str, bytes]]:
    """Radiographs of the public dev set, again and again; drawn ones where it is not here."""
    data = Path(os.environ.get("FENZHEN_DATA", ROOT.parent / "shared" / "data")) / DEV_SET
    if data.is_file():
        with zipfile.ZipFile(data) as archive:
            names = [name for name in archive.namelist() if not name.endswith("labels.csv")]
            for n in range(STUDIES):
                yield f"{n:04}.jpeg", archive.read(names[n % len(names)])
        return
    noise = np.random.default_rng(0)
    for n in range(STUDIES):
        drawn = io.BytesIO()
        grain = noise.integers(0, 60, (224, 224), dtype=np.uint8)
        Image.fromarray(grain + np.linspace(40, 190, 224).astype(np.uint8)).save(drawn, "PNG")
        yield f"{n:04}.png", drawn.getvalue()


def _batch() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        names = []
        for name, data in _pictures():
            archive.writestr(name, data)
            names.append(name)
        archive.writestr("patients.csv", "file,age_years\n" + "".join(f"{n},3\n" for n in names))
    return packed.getvalue()


def test_a_thousand_studies_leave_memory_as_it_was(tmp_path: Path) -> None:
    server = BatchServer(tmp_path / "var")
    try:
        server.start()
        batch = server.send(_batch(), "cxr_pneumonia", ZIP)
        started, worked = time.monotonic(), server.processor_seconds()
        first = seen = 0
        while seen < STUDIES:
            seen = server.until(batch, min(seen + 100, STUDIES))["done"]
            took, resident = time.monotonic() - started, server.resident_bytes()
            each = (server.processor_seconds() - worked) / max(seen, 1)
            print(
                f"{seen:5} studies  {seen / took:6.1f} a second  {each * 1e3:6.1f} core ms each"
                f"  {resident / 1e6:7.1f} MB"
            )
            first = first or (resident if seen >= FIRST else 0)
        assert server.finished(batch)["done"] == STUDIES
        assert server.resident_bytes() < GROWTH * first
    finally:
        server.close()
