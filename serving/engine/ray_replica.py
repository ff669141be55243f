"""One replica of a hosted model, in a process of its own on any node of the cluster.

Inside it is the local engine with this one model: our queue and our scheduler make the batches,
keep the classes apart and watch the deadlines. Needs this package installed on the node, and
nothing of its disks: the model's files come with it and are verified before they are loaded.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.backends import Tensors
from models.errors import ModelIntegrityError
from models.manifest import Manifest
from models.repository import ModelEntry
from serving.engine.inference import Inference, Priority
from serving.engine.local import LocalEngine
from serving.engine.ray_journal import Journal, Note
from serving.processes.frames import refused_body
from serving.settings import Settings

SETTINGS = (
    "backends",
    "batch_pixels",
    "batch_tokens",
    "max_batch",
    "model_threads",
    "providers",
    "queue_capacity",
    "queue_reserved",
    "tune",
)
"""What of a server's settings reaches a replica; nothing else leaves the server."""


@dataclass(frozen=True)
class Shipped:
    """A model on its way to a node: its manifest as JSON, and its files by name."""

    manifest: str
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, entry: ModelEntry) -> Shipped:
        """Read a model's files. Raises ModelIntegrityError where one is missing."""
        manifest = entry.manifest
        try:
            files = {name: (entry.folder / name).read_bytes() for name in manifest.files}
        except OSError as error:
            raise ModelIntegrityError(f"{error.filename}: {error.strerror}") from error
        return cls(manifest.model_dump_json(), files)

    def unpack(self, folder: Path) -> ModelEntry:
        """Write the files into an empty folder. Raises ModelIntegrityError for a wrong sha256."""
        for name, content in self.files.items():
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise ModelIntegrityError(f"{name}: not inside the model's folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        entry = ModelEntry(Manifest.model_validate_json(self.manifest), folder)
        entry.verify()
        return entry


@dataclass(frozen=True)
class Reply:
    """What a replica says: an answer, or a refusal in the words of `serving.processes.frames`.

    A refusal is told and not raised: Ray would wrap it, and what is raised is the cluster's.
    """

    answer: Inference | None
    refusal: bytes
    notes: tuple[Note, ...]


class Replica:
    """See the module docstring. Ray Serve makes it, asks `infer`, and ends it."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, shipped: Sequence[Awaitable[Shipped]], settings: Mapping[str, object]
    ) -> None:
        """`shipped`: one reference to the object store, in a list, where Ray leaves it alone."""
        # A node's own environment has no say: the settings were validated at the server. One
        # worker: a node's cores are shared out by Ray, and more replicas do what workers would.
        given = Settings.model_construct(**{**settings, "model_workers": 1})  # type: ignore[arg-type]
        self._journal = Journal()
        self._engine = LocalEngine(given, self._journal)
        found = await shipped[0]
        with tempfile.TemporaryDirectory(prefix="fenzhen-") as folder:
            entry = await asyncio.to_thread(found.unpack, Path(folder))
            await self._engine.host(entry)
        self._identity = entry.identity

    def identity(self) -> str:
        """`NAME@VERSION` of its model."""
        return self._identity

    def check_health(self) -> None:
        """Ray Serve asks; whoever raises is replaced."""
        if not self._engine.alive:
            raise RuntimeError("a worker has ended")

    async def infer(self, tensors: Tensors, priority: Priority, timeout_s: float | None) -> Reply:
        """See `InferenceEngine.infer`. `timeout_s` is what is left: clocks differ between nodes."""
        try:
            answer = await self._engine.infer(
                self._identity, tensors, priority=priority, timeout_s=timeout_s
            )
        except Exception as error:
            return Reply(None, refused_body(error), self._journal.take())
        return Reply(answer, b"", self._journal.take())
