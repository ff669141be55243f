"""Puts a checked folder into the repository under NAME/VERSION, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from models.errors import ModelRefused
from models.manifest import Manifest, write_manifest
from models.repository import CARD, ModelEntry, sha256_of


def next_version(root: Path, name: str) -> int:
    """The version after the highest that the repository at `root` has of `name`."""
    taken = [int(p.name) for p in (root / name).glob("*") if p.name.isascii() and p.name.isdigit()]
    return max(taken, default=0) + 1


def install(folder: Path, manifest: Manifest, root: Path, *, as_next: bool) -> ModelEntry:
    """Copy `folder`, whose manifest this is, to `root`/NAME/VERSION. Never overwrites.

    `as_next` gives it the next free version; the maker's own number then stands in the notes.
    Raises ModelRefused where the version is taken, OSError where the disk refuses.
    """
    if as_next:
        manifest = _renumbered(manifest, next_version(root, manifest.name))
    place = root / manifest.name / str(manifest.version)
    root.mkdir(parents=True, exist_ok=True)
    # Three levels below the root, where no listing of the repository looks; the same disk, so
    # that the rename at the end is one step.
    staging = Path(tempfile.mkdtemp(prefix=".adding-", dir=root))
    try:
        staged = staging / manifest.name / str(manifest.version)
        staged.mkdir(parents=True)
        manifest = _with_card(folder, manifest)
        for name in manifest.files:
            shutil.copyfile(folder / name, staged / name)
        write_manifest(staged, manifest)
        ModelEntry(manifest, staged).verify()
        place.parent.mkdir(parents=True, exist_ok=True)
        _move(staged, place, manifest)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return ModelEntry(manifest, place)


def _with_card(folder: Path, manifest: Manifest) -> Manifest:
    """A maker may leave the card out of the manifest's files; here it is one of them."""
    files = {CARD: sha256_of(folder / CARD)} | manifest.files
    return manifest.model_copy(update={"files": files})


def _renumbered(manifest: Manifest, version: int) -> Manifest:
    if version == manifest.version:
        return manifest
    note = f"Added as version {version}; its maker calls it version {manifest.version}."
    return manifest.model_copy(update={"version": version, "notes": [*manifest.notes, note]})


def _move(staged: Path, place: Path, manifest: Manifest) -> None:
    """Rename a folder; the system refuses to replace one that holds anything."""
    taken = ModelRefused(
        f"{manifest.name} version {manifest.version} is there already;"
        " --as-next adds this one as the next version"
    )
    if place.exists():
        raise taken
    try:
        os.rename(staged, place)
    except OSError as error:
        if place.exists():
            raise taken from error
        raise
