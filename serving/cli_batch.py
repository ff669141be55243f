"""`fenzhen batch`: send a file to a running server, follow it, fetch its results.

Talks HTTP like any other client; the key comes from FENZHEN_KEY, never from the command line,
where everybody on the machine could read it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, cast

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from serving.cli_tools import AsJson, err, fail, out, print_json

if TYPE_CHECKING:
    import httpx

app = typer.Typer(no_args_is_help=True, help="Offline batches on a running server.")

KEY = "FENZHEN_KEY"
_FOLLOW_S = 1.0
_AWAY_S = 120.0
"""How long a server may be away while it is followed: it goes on with its batches by itself."""
_ENDED = ("done", "cancelled")
_MEDIA = {
    ".zip": "application/zip",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
}

Server = Annotated[str, typer.Option(help="Address of the server.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the results here.", dir_okay=False)]
Id = Annotated[str, typer.Argument(help="Id of a batch.")]
_LOCAL = "http://127.0.0.1:8000"


class Status(TypedDict):
    """What the server says of a batch, as far as it is shown."""

    batch_id: str
    task: str
    status: str
    rows: int
    done: int
    failed: int
    created_at: str


@app.command("send")
def send(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=".jsonl or .zip")],
    task: Annotated[str, typer.Option(help="triage, acuity or an imaging task")],
    to: Out = None,
    follow: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
    server: Server = _LOCAL,
    as_json: AsJson = False,
) -> None:
    """Send a file, follow it with a progress bar and, with --out, fetch its results."""
    kind = _MEDIA.get(file.suffix.lower())
    if kind is None:
        raise fail("the file ends in " + ", ".join(_MEDIA))
    with _connected(server) as client, file.open("rb") as stream:
        answer = client.post(
            "/v1/batches",
            params={"task": task},
            content=stream,
            headers={"Content-Type": kind, "Content-Length": str(file.stat().st_size)},
        )
        status = cast(Status, _checked(answer).json())
        err.print(f"Batch {status['batch_id']}: {status['rows']} rows.", highlight=False)
        if follow:
            status = _followed(client, status)
            if to is not None:
                _fetch(client, status["batch_id"], to)
    _say(status, as_json)


@app.command("follow")
def follow_batch(
    batch: Id, to: Out = None, server: Server = _LOCAL, as_json: AsJson = False
) -> None:
    """Follow a batch with a progress bar and, with --out, fetch its results."""
    with _connected(server) as client:
        status = _followed(client, _status(client, batch))
        if to is not None:
            _fetch(client, batch, to)
    _say(status, as_json)


@app.command("results")
def fetch_results(
    batch: Id,
    to: Annotated[Path, typer.Option("--out", help="Write the results here.", dir_okay=False)],
    server: Server = _LOCAL,
) -> None:
    """Fetch the results so far as JSON Lines, in the order of the rows."""
    with _connected(server) as client:
        complete = _fetch(client, batch, to)
    out.print("All of them." if complete else "Not all of them: the batch has not ended.")


@app.command("list")
def list_batches(server: Server = _LOCAL, as_json: AsJson = False) -> None:
    """Your batches, newest first; an administrator's list has everybody's."""
    with _connected(server) as client:
        found = cast(list[Status], _checked(client.get("/v1/batches")).json()["batches"])
    if as_json:
        print_json(found)
        return
    table = Table("id", "task", "status", "rows", "done", "failed", "sent")
    for one in found:
        counts = (str(one[name]) for name in ("rows", "done", "failed"))
        table.add_row(one["batch_id"], one["task"], one["status"], *counts, one["created_at"][:16])
    out.print(table)


@app.command("cancel")
def cancel_batch(batch: Id, server: Server = _LOCAL, as_json: AsJson = False) -> None:
    """Answer no further row; what is recorded stays."""
    with _connected(server) as client:
        _say(cast(Status, _checked(client.post(f"/v1/batches/{batch}/cancel")).json()), as_json)


@app.command("delete")
def delete_batch(batch: Id, server: Server = _LOCAL) -> None:
    """Forget a batch's input and results on the server; its decisions stay."""
    with _connected(server) as client:
        _checked(client.delete(f"/v1/batches/{batch}"))


@contextmanager
def _connected(server: str) -> Iterator[httpx.Client]:
    """The server, with the caller's key; what goes wrong on the way is said in one sentence."""
    import httpx

    key = os.environ.get(KEY)
    if not key:
        raise fail(f"put the API key into the environment variable {KEY}")
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(base_url=server, headers=headers, timeout=60.0) as client:
            yield client
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise fail(f"the server at {server} cannot be reached ({type(error).__name__})") from error


def _checked(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it is a problem: then its title, detail and fields are said."""
    if answer.is_success:
        return answer
    answer.read()
    try:
        problem = answer.json()
        said = [problem["title"], problem.get("detail", "")]
        said += [f"{e['pointer']}: {e['detail']}" for e in problem.get("errors", ())]
    except (ValueError, KeyError, TypeError):
        said = [f"the server answered {answer.status_code}"]
    raise fail("; ".join(filter(None, said)))


def _status(client: httpx.Client, batch: str) -> Status:
    return cast(Status, _checked(client.get(f"/v1/batches/{batch}")).json())


def _followed(client: httpx.Client, status: Status) -> Status:
    """The batch once it has ended. A server that is away for a while is waited for."""
    import httpx

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err) as progress:
        bar = progress.add_task(status["task"], total=status["rows"])
        seen = time.monotonic()
        while status["status"] not in _ENDED:
            progress.update(bar, completed=status["done"] + status["failed"])
            time.sleep(_FOLLOW_S)
            try:
                status, seen = _status(client, status["batch_id"]), time.monotonic()
            except httpx.TransportError:
                if time.monotonic() - seen > _AWAY_S:
                    raise
        progress.update(bar, completed=status["done"] + status["failed"])
    return status


def _fetch(client: httpx.Client, batch: str, to: Path) -> bool:
    """Write the results beside `to`, then put them in its place; whether they are all."""
    part = to.with_name(to.name + ".part")
    with client.stream("GET", f"/v1/batches/{batch}/results") as answer:
        _checked(answer)
        # Patients' words: for the owner alone.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
    part.replace(to)
    complete: bool = answer.headers.get("Batch-Complete") == "true"
    return complete


def _say(status: Status, as_json: bool) -> None:
    if as_json:
        print_json(status)
    else:
        done, failed = status["done"], status["failed"]
        out.print(f"{status['status']}: {done} answered, {failed} failed, {status['rows']} rows.")
    if status["status"] == "cancelled":
        raise typer.Exit(1)
