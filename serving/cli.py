"""The command line `fenzhen`. It and `cli_*` may import every room, command by command.

Imports of the rooms are inside the commands, so that `fenzhen --help` is instant and serving
never needs what only training has. With `--json` the last line is one JSON object.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from serving import cli_batch, cli_dicom, cli_kb, cli_match, cli_models, cli_train
from serving.cli_tools import AsJson, err, out
from serving.cli_tools import database as _database
from serving.cli_tools import fail as _fail
from serving.cli_tools import print_json as _print_json

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fenzhen (分诊): triage and clinical decision support. AI advises, a physician signs.",
)
audit_app = typer.Typer(no_args_is_help=True, help="The audit trail.")
user_app = typer.Typer(no_args_is_help=True, help="Users and their API keys.")
for name, group in (
    ("models", cli_models.app),
    ("kb", cli_kb.app),
    ("train", cli_train.app),
    ("audit", audit_app),
    ("user", user_app),
    ("match", cli_match.app),
    ("batch", cli_batch.app),
):
    app.add_typer(group, name=name)


app.command("dicom-listen")(cli_dicom.listen)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Where the models run: local, or ray (a Ray cluster).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="HTTP processes; see docs/scaling.md.")
    ] = None,
) -> None:
    """Serve the API, the patient chat and the physicians' console."""
    import asyncio
    import signal

    from serving.settings import Settings

    given: dict[str, Any] = {"host": host, "port": port, "engine": engine, "workers": workers}
    settings = Settings(**{k: v for k, v in given.items() if v is not None})
    if settings.workers > 1:
        from serving.processes import supervisor

        raise typer.Exit(asyncio.run(supervisor.run(settings, announce=err.print)))

    import uvloop

    from serving.server import run

    # The server drains on SIGTERM and then raises it again: being told to stop is no failure.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    try:
        uvloop.run(run(settings, announce=err.print))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command("eval")
def evaluate(
    bench: Annotated[str, typer.Argument(help="One of the benchmarks of docs/evaluation.md.")],
    data: Annotated[Path, typer.Option(help="File in a documented format.")],
    task: Annotated[str | None, typer.Option(help="Imaging task.")] = None,
    text_only: Annotated[bool, typer.Option(help="Leave the title out.")] = False,
    stress: Annotated[bool, typer.Option(help="Imaging: also under every stress.")] = False,
    report: Annotated[Path | None, typer.Option("--out", help="Write a report here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark on a file and print its metrics with 95 % intervals."""
    from eval.run import BenchmarkError, run

    try:
        result = run(bench, data, task=task, text_only=text_only, stress=stress, report=report)
    except BenchmarkError as error:
        raise _fail(str(error)) from error
    if as_json:
        _print_json(result.as_json())
    else:
        out.print(result.table())


@audit_app.command("verify")
def audit_verify(as_json: AsJson = False) -> None:
    """Walk the audit chain; exit 1 and say where it breaks."""
    from dataclasses import asdict

    from serving import audit

    with _database() as db:
        report = audit.verify(db)
    if as_json:
        _print_json(asdict(report))
    elif report.ok:
        out.print(f"The chain of {report.events} events is intact.")
    if not report.ok:
        raise _fail(f"broken at event {report.first_bad_seq}: {report.reason}")


@app.command()
def replay(decision: Annotated[str, typer.Argument(help="Id of a triage decision")]) -> None:
    """Compute a recorded triage again and compare; exit 1 when the answer differs."""
    from models.errors import ModelError
    from serving import decisions
    from serving.errors import FenzhenError
    from serving.replay import replay_triage
    from serving.settings import Settings

    settings = Settings()
    try:
        with _database() as db:
            record = decisions.get(db, decision)
        differences = replay_triage(record, settings)
    except FenzhenError as error:
        raise _fail(error.detail or error.code) from error
    except ModelError as error:
        raise _fail(str(error)) from error
    if differences:
        raise _fail("differs in " + ", ".join(differences))
    out.print("The same answer.")


@user_app.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="A person's or an application's name")],
    role: Annotated[
        str, typer.Option(help="patient_app, imaging_device, physician or administrator")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a user; the API key is shown this once."""
    from serving import users
    from serving.errors import FenzhenError
    from serving.storage.codes import Role

    try:
        wanted = Role(role)
    except ValueError as error:
        raise _fail("role is " + ", ".join(Role)) from error
    try:
        with _database() as db:
            new = users.create(db, name=name, role=wanted)
    except FenzhenError as error:
        raise _fail(error.detail) from error
    if as_json:
        _print_json({"id": new.user.id, "role": role, "key": new.api_key})
    else:
        sys.stdout.write(new.api_key + "\n")


@user_app.command("list")
def user_list() -> None:
    """All users, without keys: only their hashes are kept."""
    from serving import users

    table = Table("id", "name", "role", "since", "disabled")
    with _database() as db:
        for user in users.list_users(db):
            table.add_row(
                user.id,
                user.name,
                user.role.value,
                f"{user.created_at:%Y-%m-%d}",
                "yes" if user.disabled_at else "",
            )
    out.print(table)


@user_app.command("disable")
def user_disable(user_id: str) -> None:
    """Refuse a user's key from now on."""
    from serving import users
    from serving.errors import FenzhenError

    try:
        with _database() as db:
            users.disable(db, user_id)
    except FenzhenError as error:
        raise _fail(error.detail) from error


def main() -> None:
    """Entry point."""
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    app()


if __name__ == "__main__":
    main()
