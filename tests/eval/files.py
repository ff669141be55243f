"""Small benchmark files, written by the tests themselves."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    """JSON Lines, gzipped where the name ends in .gz."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_zip(
    path: Path, header: str, images: Mapping[str, tuple[npt.NDArray[np.uint8], str]]
) -> Path:
    """`images/*` and labels.csv; each image comes with its line after the file name."""
    with zipfile.ZipFile(path, "w") as archive:
        lines = [f"file,{header}"]
        for name, (pixels, labels) in images.items():
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format="PNG")
            archive.writestr(f"images/{name}", buffer.getvalue())
            lines.append(f"{name},{labels}")
        archive.writestr("labels.csv", "\n".join(lines) + "\n")
    return path
