"""Everything that a running server holds, built once and handed to the routes.

The one place that wires settings, database, models and knowledge together. Opening reads
files and may take seconds; nothing here answers requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from prometheus_client import CollectorRegistry

from models.backends import Tensor
from models.backends.onnx import OnnxBackend
from models.embedder import HostedEmbedder
from models.errors import ModelLicenceError, ModelRefused
from models.manifest import Manifest
from models.repository import ModelEntry, ModelRepository
from models.tasks.acuity import AcuityTask
from models.tasks.embedding import EmbeddingTask
from models.tasks.image_kind import ImageKindTask, best_gate
from models.tasks.imaging import ImagingTask
from models.tasks.reranker import RerankerTask
from models.tasks.triage import TriageTask
from serving.blob_sweep import FolderInUse, sweep
from serving.blobs import BlobStore
from serving.engine.engine import Engine
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Limits
from serving.generator import Generator
from serving.ingest_metrics import IngestMetrics
from serving.knowledge import ServedKnowledge
from serving.pixel_budget import PixelBudget
from serving.refusals import Refusals
from serving.reviews.policy import ReviewPolicy
from serving.settings import Settings
from serving.storage.database import Database
from serving.storage.roster import Rosters

log = structlog.get_logger()

NEEDED = ("department", "embedding")
"""Models without which there is no server."""
_NUMPY = {
    "float32": np.float32, "float16": np.float16, "int64": np.int64,
    "int32": np.int32, "uint8": np.uint8, "bool": np.bool_,
}  # fmt: skip


@dataclass(frozen=True)
class Services:
    """The parts of one server. `acuity` and `imaging` map a model's name to its task.

    `gate` tells kinds of pictures apart before an imaging task; None where the repository has no
    such model.

    `reranker` judges passages for answers; None where the repository has none. `generator` words
    them where one is set up.

    `refused` are models that may not be used here. `pixels` is the room
    for decoded images, `refusals` writes down what was not taken in.
    """

    settings: Settings
    registry: CollectorRegistry
    db: Database
    blobs: BlobStore
    pixels: PixelBudget
    refusals: Refusals
    folder: FolderInUse
    policy: ReviewPolicy
    models: Mapping[str, ModelEntry]
    refused: Mapping[str, ModelEntry]
    engine: Engine
    triage: TriageTask
    acuity: Mapping[str, AcuityTask]
    gate: ImageKindTask | None
    imaging: Mapping[str, ImagingTask]
    knowledge: ServedKnowledge
    reranker: RerankerTask | None
    generator: Generator | None
    rosters: Rosters

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        await self.engine.drain()
        if self.generator is not None:
            await self.generator.close()
        await asyncio.to_thread(self.refusals.flush)
        self.folder.close()
        self.db.close()


def warm_up(manifest: Manifest) -> dict[str, Tensor]:
    """One row of zeros in the shapes of the manifest, dynamic axes of length 8."""
    return {
        spec.name: np.zeros(
            [1, *(8 if size < 0 else size for size in spec.shape[1:])], dtype=_NUMPY[spec.dtype]
        )
        for spec in manifest.inputs
    }


def _admitted(
    repository: ModelRepository,
) -> tuple[dict[str, ModelEntry], dict[str, ModelEntry]]:
    """The latest version of every model, verified, and those that are kept out: by their licence,
    or because they would answer any picture. Models for benchmarks alone are passed over.

    Raises ModelError for a missing or altered file, and where a needed model is missing or kept
    out.
    """
    hosted = (entry for entry in repository.entries() if not entry.manifest.benchmark_only)
    latest = {entry.manifest.name: entry for entry in hosted}
    admitted, refused = {}, {}
    for name in dict.fromkeys((*latest, *NEEDED)):
        try:
            admitted[name] = repository.get(name)
        except (ModelLicenceError, ModelRefused) as error:
            if name in NEEDED:
                raise
            log.warning("model not loaded", model=name, why=str(error))
            refused[name] = latest[name]
    return admitted, refused


def _guarded(manifest: Manifest, gate: ImageKindTask | None) -> bool:
    """Whether the gate knows the kind of picture that the model reads; else it is not offered.

    A model that names no kind refuses by the distance from its training images: one without
    either does not come out of the repository.
    """
    kind = manifest.population.image_kind
    known = kind is None or (gate is not None and gate.label(kind) is not None)
    if not known:
        log.warning("imaging model not offered: no gate knows its pictures", model=manifest.name)
    return known


def _reranker(entries: Mapping[str, ModelEntry]) -> RerankerTask | None:
    entry = entries.get(RerankerTask.model)
    return None if entry is None else RerankerTask(entry.manifest, entry.folder)


def _folder_swept(db: Database, blobs: BlobStore, metrics: IngestMetrics) -> FolderInUse:
    """The hold on the folder of the blobs; swept before, where no other server is at work."""
    folder = FolderInUse(blobs.folder)
    if folder.alone():
        metrics.swept.inc(sweep(db, blobs))
    folder.share()
    return folder


async def open_services(settings: Settings, registry: CollectorRegistry) -> Services:
    """Open the database, verify and load every model, warm it up and build the index.

    A model that may not be used here is left out; see `_admitted` for what stops a start.
    """
    db = Database(settings.database)
    db.migrate()
    entries, refused = _admitted(settings.repository)
    engine = Engine(EngineMetrics(registry))
    backends = {}
    limits = Limits(
        capacity=settings.queue_capacity,
        reserved=min(settings.queue_reserved, settings.queue_capacity - 1),
        max_batch=settings.max_batch,
    )
    for name, entry in entries.items():
        backends[name] = OnnxBackend(entry.network, threads=settings.model_threads)
        backends[name].run(warm_up(entry.manifest))
        if entry.manifest.task != "embedding":
            # Search embeds one short query where it stands: 0.1 ms, less than a queue costs.
            engine.add(name, backends[name], limits)
    metrics = IngestMetrics(registry)
    blobs = BlobStore(settings.var / "blobs", db)
    kinds = best_gate(entry.manifest for entry in entries.values())
    gate = None if kinds is None else ImageKindTask(kinds)
    return Services(
        settings=settings,
        registry=registry,
        db=db,
        blobs=blobs,
        pixels=PixelBudget(settings.max_open_pixels),
        refusals=Refusals(db, metrics),
        folder=_folder_swept(db, blobs, metrics),
        policy=ReviewPolicy.load(),
        models=entries,
        refused=refused,
        engine=engine,
        triage=TriageTask(entries["department"], entries.get("urgency")),
        acuity={
            name: AcuityTask(entry.manifest)
            for name, entry in entries.items()
            if entry.manifest.task == "acuity"
        },
        gate=gate,
        imaging={
            name: ImagingTask(entry.manifest, gate)
            for name, entry in entries.items()
            if entry.manifest.task == "imaging" and _guarded(entry.manifest, gate)
        },
        knowledge=ServedKnowledge(
            settings.knowledge_index,
            HostedEmbedder(
                EmbeddingTask(entries["embedding"].manifest, entries["embedding"].folder),
                backends["embedding"],
            ),
            entries["embedding"].identity,
        ),
        reranker=_reranker(entries),
        generator=None if settings.generator_url is None else Generator(settings),
        rosters=Rosters(),
    )
