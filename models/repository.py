"""The model repository: a folder of NAME/VERSION/{model.onnx, manifest.json, MODEL_CARD.md}.

Finds versions, verifies sha256 before anything is loaded and enforces licence flags.
Never loads weights itself: that is the backend's work.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.errors import ModelIntegrityError, ModelLicenceError, ModelRefused, UnknownModel
from models.manifest import MANIFEST_FILE, Manifest, read_manifest

SHIPPED = Path(__file__).parent / "artifacts"
CARD = "MODEL_CARD.md"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class ModelEntry:
    """One version on disk: its manifest and where it lies."""

    manifest: Manifest
    folder: Path

    @property
    def network(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"

    @property
    def card(self) -> str:
        """The model card's Markdown; empty where the file is gone since the start."""
        try:
            return (self.folder / CARD).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    @property
    def identity(self) -> str:
        """`NAME@VERSION`, as decisions and indexes name it."""
        return f"{self.manifest.name}@{self.manifest.version}"

    def verify(self) -> None:
        """Raise ModelIntegrityError naming the first file that is missing or altered."""
        for name, expected in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file():
                raise ModelIntegrityError(f"{path}: listed in the manifest but missing")
            if sha256_of(path) != expected:
                raise ModelIntegrityError(f"{path}: sha256 differs from the manifest")


class ModelRepository:
    """Models in one folder. `allow_noncommercial` admits weights learned on such sets."""

    def __init__(self, root: Path = SHIPPED, *, allow_noncommercial: bool = False) -> None:
        self.root = root
        self.allow_noncommercial = allow_noncommercial

    def entries(self) -> list[ModelEntry]:
        """Every version, by name then version; a broken manifest raises ModelIntegrityError."""
        found = []
        for path in sorted(self.root.glob(f"*/*/{MANIFEST_FILE}")):
            try:
                manifest = read_manifest(path.parent)
            except ValidationError as error:
                raise ModelIntegrityError(f"{path}: {error}") from error
            if (manifest.name, str(manifest.version)) != path.parts[-3:-1]:
                raise ModelIntegrityError(f"{path}: name or version differs from its folder")
            found.append(ModelEntry(manifest, path.parent))
        return sorted(found, key=lambda e: (e.manifest.name, e.manifest.version))

    def refusal(self, manifest: Manifest) -> str | None:
        """Why the model may not be used here; None where it may."""
        if not manifest.knows_its_pictures:
            return "would answer any picture: it names no image_kind and brings no ood statistics"
        if manifest.noncommercial and not self.allow_noncommercial:
            return "learned on a non-commercial set; set allow_noncommercial to load it"
        return None

    def get(self, name: str, version: int | None = None) -> ModelEntry:
        """The latest version of `name`, or a pinned one, verified and licensed for use.

        Raises UnknownModel, ModelLicenceError, ModelRefused or ModelIntegrityError.
        """
        matches = [
            e
            for e in self.entries()
            if e.manifest.name == name and version in (None, e.manifest.version)
        ]
        if not matches:
            wanted = name if version is None else f"{name} version {version}"
            raise UnknownModel(f"no model {wanted} in the repository")
        entry = matches[-1]
        refusal = self.refusal(entry.manifest)
        if refusal is not None:
            unguarded = not entry.manifest.knows_its_pictures
            raise (ModelRefused if unguarded else ModelLicenceError)(f"{name}: {refusal}")
        entry.verify()
        return entry
