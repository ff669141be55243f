"""/v1/batches: many requests in one file, answered behind everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from serving import users
from serving.batches import items, results, tasks
from serving.batches.inputs import Spooled
from serving.batches.items import Form, Reading
from serving.batches.runner import BatchRunner
from serving.errors import InvalidInput, UnsupportedMedia
from serving.security import allow, services_of
from serving.storage import batches, idempotency
from serving.storage.batches import Batch, NewBatch
from serving.storage.codes import BatchState, StopReason
from serving.users import Permission, User

router = APIRouter(tags=["batches"])

Sender = Annotated[User, Depends(allow(Permission.BATCH_WRITE))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same key, task and file again get the same batch and start nothing new.",
    ),
]

MEDIA = {
    "application/x-ndjson": Form.JSONL,
    "application/jsonl": Form.JSONL,
    "application/zip": Form.ZIP,
}
JSON_LINES = "application/x-ndjson"
_LISTED = 100


class BatchAnswer(BaseModel):
    """A batch and how far it is. `eta_seconds` is null until it can be told from its speed."""

    batch_id: str
    task: str
    status: BatchState
    stop_reason: StopReason | None
    rows: int
    done: int = Field(description="Rows answered and recorded as decisions.")
    failed: int = Field(description="Rows with a problem instead of an answer.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime
    eta_seconds: int | None


class BatchList(BaseModel):
    """Newest first."""

    batches: tuple[BatchAnswer, ...]


@router.post("/v1/batches", status_code=202)
async def post_batch(
    request: Request,
    response: Response,
    user: Sender,
    task: Annotated[
        str, Query(max_length=64, description="`triage`, `acuity` or an imaging task.")
    ],
    key: Key = None,
) -> BatchAnswer:
    """Send JSON Lines or a zip archive; every row becomes a recorded decision or a problem."""
    services, runner = services_of(request), _runner_of(request)
    tasks.check_known(services, task)
    users.require(user, tasks.permission(task))
    form = MEDIA.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if form is None:
        raise UnsupportedMedia("send " + " or ".join(sorted(MEDIA)))
    await asyncio.to_thread(batches.room, services.db, services.settings.batch_open)
    reading = Reading.of(services.settings, form, images=tasks.of_images(task))
    limit = services.settings.batch_max_bytes
    async with runner.inputs.receive(_body(request), limit) as spooled:
        accepted, fresh = await asyncio.to_thread(
            _accept, request, runner, user, task, reading, spooled, key
        )
    if fresh:
        runner.submit(accepted)
    response.headers["Location"] = f"/v1/batches/{accepted.id}"
    return _answer(accepted)


@router.get("/v1/batches")
async def list_batches(request: Request, user: Sender) -> BatchList:
    """Your batches, newest first; an administrator sees everybody's."""
    found = await asyncio.to_thread(batches.list_for, services_of(request).db, user, limit=_LISTED)
    return BatchList(batches=tuple(map(_answer, found)))


@router.get("/v1/batches/{batch_id}")
async def get_batch(batch_id: str, request: Request, user: Sender) -> BatchAnswer:
    """How far a batch is."""
    return _answer(await asyncio.to_thread(_get, request, batch_id, user))


@router.get("/v1/batches/{batch_id}/results", response_class=StreamingResponse)
async def get_results(
    batch_id: str,
    request: Request,
    user: Sender,
    after: Annotated[int, Query(ge=0, description="Only rows after this one.")] = 0,
) -> StreamingResponse:
    """Results so far as JSON Lines in the order of the rows. The view is audited."""
    db = services_of(request).db
    batch, up_to = await asyncio.to_thread(_viewed, request, batch_id, user)
    return StreamingResponse(
        results.lines(db, batch.id, after=after, up_to=up_to),
        media_type=JSON_LINES,
        headers={
            "Batch-Status": batch.state.value,
            "Batch-Complete": "true" if batch.state is BatchState.DONE else "false",
            "Batch-Up-To": str(up_to),
        },
    )


@router.post("/v1/batches/{batch_id}/cancel")
async def cancel_batch(batch_id: str, request: Request, user: Sender) -> BatchAnswer:
    """Answer no further row; what is recorded stays. Again changes nothing."""
    await asyncio.to_thread(_cancel, request, batch_id, user)
    await _runner_of(request).forget(batch_id)
    return _answer(await asyncio.to_thread(_get, request, batch_id, user))


@router.delete("/v1/batches/{batch_id}", status_code=204)
async def delete_batch(batch_id: str, request: Request, user: Sender) -> None:
    """Cancel where it still runs, and forget input and results; decisions stay."""
    await asyncio.to_thread(_delete, request, batch_id, user)
    await _runner_of(request).forget(batch_id)


def _runner_of(request: Request) -> BatchRunner:
    runner: BatchRunner = request.app.state.batches
    return runner


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise InvalidInput("the upload broke off") from None


def _accept(
    request: Request,
    runner: BatchRunner,
    user: User,
    task: str,
    reading: Reading,
    spooled: Spooled,
    key: str | None,
) -> tuple[Batch, bool]:
    """The accepted batch, and whether it is new. Its file is kept before it is recorded."""
    db, settings = services_of(request).db, services_of(request).settings
    asked = None
    if key is not None:
        path = f"/v1/batches?task={task}"
        asked = idempotency.Request(user.id, key, "POST", path, spooled.sha256)
        before = idempotency.recall(db, asked)
        if before is not None:
            return batches.get(db, before.body.decode("ascii"), user), False
    with spooled.path.open("rb") as file:
        rows = items.count(file, reading)
    new = NewBatch(
        db.ids.new("bat"), task, reading.form.value, spooled.sha256, spooled.size, rows,
        runner.inputs.name,
    )  # fmt: skip
    runner.inputs.keep(spooled, new.id)
    try:
        with db.write() as session:
            accepted = batches.create(
                db,
                new,
                owner=user,
                most=settings.batch_open,
                keep=timedelta(hours=settings.batch_keep_hours),
                within=session,
            )
            if asked is not None:
                kept = idempotency.Answer(202, new.id.encode("ascii"))
                idempotency.remember(db, asked, kept, within=session)
    except BaseException:
        runner.inputs.delete(new.id)
        raise
    return accepted, True


def _get(request: Request, batch_id: str, user: User) -> Batch:
    return batches.get(services_of(request).db, batch_id, user)


def _viewed(request: Request, batch_id: str, user: User) -> tuple[Batch, int]:
    """The batch, and the last row that its results reach."""
    db = services_of(request).db
    batch = batches.get(db, batch_id, user)
    users.require(user, tasks.permission(batch.task))
    batches.note_view(db, batch, user.id)
    if batch.state is BatchState.CANCELLED:
        return batch, batch.items
    return batch, results.reach(db, batch.id)


def _cancel(request: Request, batch_id: str, user: User) -> None:
    services = services_of(request)
    batches.cancel(
        services.db,
        batches.get(services.db, batch_id, user).id,
        actor=user.id,
        reason=StopReason.REQUESTED,
        keep=timedelta(hours=services.settings.batch_keep_hours),
    )


def _delete(request: Request, batch_id: str, user: User) -> None:
    db = services_of(request).db
    batches.remove(db, batches.get(db, batch_id, user).id, actor=user.id)


def _answer(batch: Batch) -> BatchAnswer:
    open_rows = batch.items - batch.answered - batch.failed
    speed = batch.seconds_per_item if batch.state is BatchState.RUNNING else None
    return BatchAnswer(
        batch_id=batch.id,
        task=batch.task,
        status=batch.state,
        stop_reason=batch.stop_reason,
        rows=batch.items,
        done=batch.answered,
        failed=batch.failed,
        created_at=batch.created_at,
        started_at=batch.started_at,
        finished_at=batch.finished_at,
        expires_at=batch.expires_at,
        eta_seconds=None if speed is None else round(open_rows * speed),
    )
