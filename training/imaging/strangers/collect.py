"""Fetches packages of public registries by name and keeps down-scaled copies of their photographs.

Run by hand, before training; nothing here runs while serving, training or testing. Which packages,
which files and under which licence: training/configs/strangers.yaml. A picture whose perceptual
hash is that of an earlier one is left out, so that no photograph is on both sides of a split.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.imaging.strangers.config import PhotoSource

LONGEST_SIDE = 512
JPEG_QUALITY = 90
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif"}
_SMALLEST_SIDE = 48
_SAME_HASH_BITS = 3
_FLAT = 4.0  # grey levels of standard deviation: less shows nothing


class PackageUnavailable(RuntimeError):
    """A registry's client could not fetch or unpack a package; its last words are the message."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One kept copy. `file` is relative to the folder; `origin` is the path in the package."""

    file: str
    source: str
    package: str
    version: str
    licence: str
    origin: str
    sha256: str
    origin_sha256: str


def collect(
    sources: tuple[PhotoSource, ...], out: Path, *, advance: Callable[[str], None] = lambda _: None
) -> list[Photo]:
    """Writes out/photos/SOURCE/HASH.{jpg,png} and out/photos.json; calls `advance` per package.

    Cut-outs with an alpha channel are kept as PNG, everything else as JPEG. Raises
    PackageUnavailable.
    """
    photos: list[Photo] = []
    hashes: list[int] = []
    for source in sources:
        with tempfile.TemporaryDirectory() as scratch:
            root = fetch(source, Path(scratch))
            photos += keep(source, root, out, hashes)
        advance(source.package)
    (out / "photos.json").write_text(
        json.dumps([asdict(photo) for photo in photos], indent=1, ensure_ascii=False)
    )
    return photos


def fetch(source: PhotoSource, scratch: Path) -> Path:
    """The folder in which the package lies unpacked, under `scratch`."""
    unpacked = scratch / "unpacked"
    unpacked.mkdir()
    if source.registry == "debian":
        _run(["apt-get", "download", f"{source.package}={source.version}"], scratch)
        _run(["dpkg-deb", "-x", str(_only(scratch, "*.deb")), str(unpacked)], scratch)
        return unpacked
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(scratch)]
    if source.registry == "pypi-source":
        pip += ["--no-binary", source.package]
    _run([*pip, f"{source.package}=={source.version}"], scratch)
    archive = next(p for p in scratch.iterdir() if p.suffix in (".whl", ".gz", ".zip"))
    if archive.suffix == ".gz":
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
    else:
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(unpacked)
    return unpacked


def keep(source: PhotoSource, root: Path, out: Path, hashes: list[int]) -> Iterator[Photo]:
    """Copies of the wanted pictures below `root`, in the order of their paths.

    `hashes` holds those of what was kept before and grows.
    """
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in _SUFFIXES):
        origin = path.relative_to(root).as_posix()
        part = source.part_of(origin)
        if part is None or any(fnmatch.fnmatch(origin, glob) for glob in source.leave_out):
            continue
        raw = path.read_bytes()
        if len(raw) < source.smallest_bytes:
            continue
        try:
            picture = _open(path)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue  # the registries' packages carry broken files on purpose, to test readers
        if min(picture.size) < _SMALLEST_SIDE:
            continue
        code = difference_hash(picture)
        if code is None or any((code ^ other).bit_count() <= _SAME_HASH_BITS for other in hashes):
            continue
        hashes.append(code)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        origin_sha256 = hashlib.sha256(raw).hexdigest()
        name = f"photos/{part}/{origin_sha256[:16]}"
        name += ".png" if picture.mode == "RGBA" else ".jpg"
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target, quality=JPEG_QUALITY)
        yield Photo(
            name,
            part,
            source.package,
            source.version,
            source.licence,
            origin,
            hashlib.sha256(target.read_bytes()).hexdigest(),
            origin_sha256,
        )


def difference_hash(picture: Image.Image) -> int | None:
    """64 bits: is each cell brighter than its right neighbour. None for a picture of one tone."""
    flat = Image.new("RGB", picture.size, (255, 255, 255))
    flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    small = np.asarray(flat.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    if small.std() < _FLAT:
        return None
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _open(path: Path) -> Image.Image:
    """RGBA where parts are transparent, else RGB."""
    with Image.open(path) as image:
        image.draft("RGB", (1024, 1024))
        if image.mode in ("RGBA", "LA", "P") and (
            image.mode != "P" or "transparency" in image.info
        ):
            cut_out = image.convert("RGBA")
            lowest = cut_out.getchannel("A").getextrema()[0]
            if isinstance(lowest, int) and lowest < 128:
                return cut_out
        return image.convert("RGB")


def _only(folder: Path, glob: str) -> Path:
    (path,) = folder.glob(glob)
    return path


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageUnavailable(f"{' '.join(command[:2])}: {done.stderr.strip()[-400:]}")
