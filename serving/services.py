"""Everything that a running server holds, built once and handed to the routes.

The one place that wires settings, database, models and knowledge together. Opening reads
files and may take seconds; nothing here answers requests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from models.embedder import HostedEmbedder
from serving.blob_sweep import FolderInUse, sweep
from serving.blobs import BlobStore
from serving.engine.inference import ModelHost
from serving.engine.local import LocalEngine
from serving.engine.metrics import EngineMetrics
from serving.generator import Generator
from serving.hosting import EMBEDDING, Hosted, Hosting
from serving.ingest_metrics import IngestMetrics
from serving.knowledge import ServedKnowledge
from serving.pixel_budget import PixelBudget
from serving.refusals import Refusals
from serving.reviews.policy import ReviewPolicy
from serving.settings import Settings
from serving.storage.database import Database
from serving.storage.roster import Rosters


@dataclass(frozen=True)
class Services:
    """The parts of one server.

    `hosting` has the models with their tasks; whoever asks one more than once takes `hosted`
    first and stays with it. `generator` words answers where one is set up. `pixels` is the room
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
    engine: ModelHost
    hosting: Hosting
    knowledge: ServedKnowledge
    generator: Generator | None
    rosters: Rosters

    @property
    def hosted(self) -> Hosted:
        """The models of this moment."""
        return self.hosting.hosted

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        await self.engine.drain()
        if self.generator is not None:
            await self.generator.close()
        await asyncio.to_thread(self.refusals.flush)
        self.folder.close()
        self.db.close()


def _folder_swept(db: Database, blobs: BlobStore, metrics: IngestMetrics) -> FolderInUse:
    """The hold on the folder of the blobs; swept before, where no other server is at work."""
    folder = FolderInUse(blobs.folder)
    if folder.alone():
        metrics.swept.inc(sweep(db, blobs))
    folder.share()
    return folder


async def _engine_of(settings: Settings, registry: CollectorRegistry) -> ModelHost:
    if settings.engine == "ray":
        from serving.engine.ray_engine import open_ray_engine

        return await open_ray_engine(settings, registry)
    return LocalEngine(settings, EngineMetrics(registry))


async def open_services(
    settings: Settings, registry: CollectorRegistry, engine: ModelHost | None = None
) -> Services:
    """Open the database, verify and load every model, warm it up and build the index.

    `engine` runs the models; one in this process by default. Raises what `Hosting.open` raises.
    """
    db = Database(settings.database)
    db.migrate()
    if engine is None:
        engine = await _engine_of(settings, registry)
    try:
        hosting = await Hosting.open(settings, engine)
    except BaseException:
        await engine.drain()
        raise
    embedding = hosting.hosted.models[EMBEDDING]
    metrics = IngestMetrics(registry)
    blobs = BlobStore(settings.var / "blobs", db)
    return Services(
        settings=settings,
        registry=registry,
        db=db,
        blobs=blobs,
        pixels=PixelBudget(settings.max_open_pixels),
        refusals=Refusals(db, metrics),
        folder=_folder_swept(db, blobs, metrics),
        policy=ReviewPolicy.load(),
        engine=engine,
        hosting=hosting,
        # Search embeds one short query where it stands: 0.1 ms, less than a queue costs.
        knowledge=ServedKnowledge(
            settings.knowledge_index, HostedEmbedder.of(embedding), embedding.identity
        ),
        generator=None if settings.generator_url is None else Generator(settings),
        rosters=Rosters(),
    )
