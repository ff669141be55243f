"""Works through batches behind everything else: a few rows at once, one of each batch in turn.

Rows wait in the engine's bulk class. What is busy or away is asked again later; what is wrong with
a row is recorded as its problem. A row is recorded in one transaction with its decision, so after
a crash the batch goes on with the first row that is not recorded, and no row is answered twice.

Several servers may share a database. A batch is worked on by the one that holds its lease, among
those that have the folder with its input; the others leave it alone, however long that one is away.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.exc import IntegrityError

from models.errors import ModelRunError
from serving import audit, users
from serving.api.problems import as_error, where
from serving.batches import tasks
from serving.batches.inputs import InputLost, Inputs
from serving.batches.items import Form, Item, Reading
from serving.batches.leases import Leases
from serving.batches.metrics import BatchMetrics
from serving.batches.rotation import Rotation
from serving.batches.run import Run
from serving.bulk import Bulk
from serving.engine.inference import EngineStopped, QueueFull
from serving.errors import (
    FenzhenError,
    Forbidden,
    IllegalMove,
    LeaseLost,
    NotFound,
    StorageUnavailable,
    problem,
)
from serving.services import Services
from serving.storage import batch_items, batches
from serving.storage.batch_items import BatchStopped, RowTaken
from serving.storage.batches import Batch
from serving.storage.codes import ItemOutcome, StopReason

log = structlog.get_logger()

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.05, 5.0
_SWEEP_S = 3600.0
_DRAIN_S = 15.0
_ATTEMPTS = 3
"""Tries of a row that failed together with others: by itself it may well succeed."""


class BatchRunner:
    """All open batches of this process. Made and used inside the event loop that serves."""

    def __init__(self, services: Services, metrics: BatchMetrics) -> None:
        self._services = services
        self._metrics = metrics
        self._keep = timedelta(hours=services.settings.batch_keep_hours)
        self._leases = Leases(services.db, timedelta(seconds=services.settings.batch_lease_seconds))
        self.inputs = Inputs(services.settings.var / "batches", services.db.ids)
        self._rotation: Rotation[str] = Rotation()
        self._runs: dict[str, Run] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._opening: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Go on with what an earlier process left, and take turns from now on."""
        await self.sweep()
        await self._look()
        count = self._services.settings.batch_concurrency
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]
        self._workers.append(asyncio.create_task(self._keep_sweeping()))
        self._workers.append(asyncio.create_task(self._keep_leases()))

    def submit(self, batch: Batch) -> None:
        """Let an accepted batch take turns; again changes nothing."""
        if batch.id in self._opening or batch.id in self._runs:
            return
        opening = asyncio.create_task(self._open(batch))
        self._opening[batch.id] = opening
        opening.add_done_callback(lambda _: self._opening.pop(batch.id, None))

    async def forget(self, batch_id: str) -> None:
        """Take no further row of a batch that has ended, and delete its input."""
        await self._let_go(batch_id)
        await asyncio.to_thread(self.inputs.delete, batch_id)

    async def stop(self) -> None:
        """Finish the rows that are being answered; the others wait for the next start."""
        self._stopping.set()
        self._wake.set()
        tasks_left = {*self._workers, *self._opening.values()}
        if tasks_left:
            _, late = await asyncio.wait(tasks_left, timeout=_DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for run in self._runs.values():
            with contextlib.suppress(ValueError):  # a row of it is being read, too late to wait
                await asyncio.to_thread(run.close)
        self._runs.clear()
        with contextlib.suppress(StorageUnavailable):  # then the leases run out
            await self._leases.release_all()

    async def _open(self, batch: Batch) -> None:
        try:
            token = await self._leases.take(batch.id)
            if token is None:
                return  # another server works on it
            await self._open_claimed(batch, token)
        except (IllegalMove, NotFound):
            await self.forget(batch.id)  # cancelled or removed meanwhile
        except Exception as error:
            # Whoever looks after the lease has run out tries again.
            log.error("batch put aside", batch=batch.id, **_told(error))
            self._leases.lapse(batch.id)

    async def _open_claimed(self, batch: Batch, token: int) -> None:
        try:
            run = await asyncio.to_thread(self._opened, batch, token)
        except InputLost:
            if batch.input_folder != self.inputs.name:
                self._leases.lapse(batch.id)  # it may lie in a folder that we don't know
                return
            log.error("batch input lost", batch=batch.id)
            await self._cancel(batch.id, StopReason.INPUT_LOST, token)
            return
        if self._stopping.is_set():
            await asyncio.to_thread(run.close)
            return
        self._runs[batch.id] = run
        self._rotation.add(batch.id)
        self._metrics.running.set(len(self._runs))
        self._wake.set()

    def _opened(self, batch: Batch, token: int) -> Run:
        services = self._services
        owner = users.get(services.db, batch.owner_id)
        reading = Reading.of(
            services.settings, Form(batch.form), images=tasks.of_images(batch.task)
        )
        run = Run(batch.id, batch.task, owner, token)
        run.open(self.inputs, batch.sha256, reading, batch_items.recorded(services.db, batch.id))
        return run

    async def _work(self) -> None:
        while not self._stopping.is_set():
            turn = self._rotation.next()
            if turn is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            run = self._runs[turn]
            run.in_flight += 1
            try:
                item = await run.take()
                if item is None:
                    self._rotation.drop(run.id)
                else:
                    await self._settle(run, item)
            except Exception as error:
                # The worker has other batches to serve; this one goes on once its lease runs out.
                log.error("batch put aside", batch=run.id, **_told(error))
                self._rotation.drop(run.id)
                self._leases.lapse(run.id)
            finally:
                run.in_flight -= 1
            if run.in_flight == 0 and run.id not in self._rotation:
                await self._end(run)

    async def _settle(self, run: Run, item: Item) -> None:
        """Answer a row and record it, however often it takes."""
        delay, attempt = _FIRST_DELAY_S, 0
        while True:
            attempt += 1
            try:
                await self._answer(run, item, last=attempt >= _ATTEMPTS)
                return
            except (QueueFull, StorageUnavailable, IntegrityError, ModelRunError):
                self._metrics.retries.labels(run.task).inc()
                if await self._stops_within(delay):
                    return
                delay = min(2 * delay, _LONGEST_DELAY_S)
            except EngineStopped:
                self._stopping.set()
                return
            except RowTaken:
                return
            except BatchStopped:
                await self._stopped(run.id)
                return
            except Forbidden:
                await self._cancel(run.id, StopReason.OWNER_REFUSED, run.token)
                return

    async def _answer(self, run: Run, item: Item, *, last: bool) -> None:
        db = self._services.db
        decision_id = db.ids.new("dec")
        keep = partial(
            batch_items.keep_item, db, batch_id=run.id, number=item.number, token=run.token,
            owner=run.owner, file=item.file,
        )  # fmt: skip
        bulk = Bulk(decision_id, lambda session: keep(session, decision_id=decision_id))
        try:
            await tasks.answer(self._services, run.task, item, run.owner, bulk)
            outcome = ItemOutcome.DONE
        except (QueueFull, StorageUnavailable, EngineStopped, RowTaken, BatchStopped, Forbidden):
            raise
        except Exception as raised:
            if isinstance(raised, IntegrityError | ModelRunError) and not last:
                raise
            error = as_error(raised)
            if error.status >= 500:
                log.error("batch row failed", batch=run.id, row=item.number, **_told(raised))
            await asyncio.to_thread(self._fail, keep, error)
            outcome = ItemOutcome.FAILED
        self._metrics.rows.labels(run.task, outcome.value).inc()

    def _fail(self, keep: partial[None], error: FenzhenError) -> None:
        with self._services.db.write() as session:
            keep(session, problem=problem(error))

    async def _end(self, run: Run) -> None:
        """Close a batch that has no turn any more; say that it is done where it is."""
        if self._runs.get(run.id) is not run:
            return
        del self._runs[run.id]
        self._metrics.running.set(len(self._runs))
        await asyncio.to_thread(run.close)
        if not run.read_to_the_end or self._stopping.is_set():
            return
        db = self._services.db
        while True:
            try:
                await asyncio.to_thread(batches.finish, db, run.id, run.token, keep=self._keep)
            except (IllegalMove, NotFound, LeaseLost):
                self._leases.lapse(run.id)  # it has ended, is another's, or has rows put aside
                return
            except StorageUnavailable:
                if await self._stops_within(_LONGEST_DELAY_S):
                    return
                continue
            await self.forget(run.id)
            return

    async def _cancel(self, batch_id: str, reason: StopReason, token: int) -> None:
        try:
            await asyncio.to_thread(
                batches.cancel,
                self._services.db,
                batch_id,
                actor=audit.SYSTEM,
                reason=reason,
                keep=self._keep,
                token=token,
            )
        except (IllegalMove, NotFound, LeaseLost):
            await self._stopped(batch_id)
            return
        await self.forget(batch_id)

    async def _stopped(self, batch_id: str) -> None:
        """A batch is not ours any more. Its input goes only where nobody works on it either."""
        if not await asyncio.to_thread(batches.is_open, self._services.db, batch_id):
            await self.forget(batch_id)
            return
        log.warning("batch is worked on by another server", batch=batch_id)
        await self._let_go(batch_id)

    async def _let_go(self, batch_id: str) -> None:
        """Take no further row of a batch; the row that is being answered closes it."""
        self._rotation.drop(batch_id)
        self._leases.lapse(batch_id)
        run = self._runs.get(batch_id)
        if run is not None and run.in_flight == 0:
            await self._end(run)

    async def _look(self) -> None:
        """Take on what nobody works on and this server has the input of."""
        found = await asyncio.to_thread(batches.unclaimed, self._services.db, self.inputs.name)
        for batch in found:
            if batch.input_folder is not None or self.inputs.has(batch.id):
                self.submit(batch)

    async def _keep_leases(self) -> None:
        while not await self._stops_within(self._leases.beat_s):
            try:
                for batch_id in await self._leases.renew():
                    await self._stopped(batch_id)
                await self._look()
            except Exception as error:
                # Leases that run out meanwhile are taken again at a later beat.
                log.warning("leases of batches are not renewed for now", **_told(error))

    async def _stops_within(self, seconds: float) -> bool:
        """Wait so long; True as soon as the server is told to stop."""
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _keep_sweeping(self) -> None:
        while not await self._stops_within(_SWEEP_S):
            try:
                await self.sweep()
            except FenzhenError as error:
                log.warning("expired batches stay for now", code=error.code)

    async def sweep(self) -> None:
        """Remove what has expired, and what a crash left in the folder."""
        db = self._services.db
        for batch_id in await asyncio.to_thread(batches.expired, db):
            with contextlib.suppress(NotFound):  # another server was first
                await asyncio.to_thread(
                    batches.remove, db, batch_id, actor=audit.SYSTEM, action="batch.expired"
                )
            await self.forget(batch_id)
        wanted = await asyncio.to_thread(batches.unfinished, db)
        await asyncio.to_thread(self.inputs.sweep, frozenset(batch.id for batch in wanted))


def _told(error: Exception) -> dict[str, object]:
    """What may be logged of an exception: its message may quote the patient."""
    return {"exception": type(error).__name__, "where": where(error)}
