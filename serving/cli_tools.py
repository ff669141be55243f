"""What the commands share: how they print, fail and open the database. No command of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from serving.storage.database import Database

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="End with one line of JSON.")]


def fail(message: str) -> typer.Exit:
    """Say what went wrong; raise what this returns."""
    # Escaped: a message may quote a file, and brackets in it are no markup of ours.
    err.print(f"[bold red]fenzhen:[/] {escape(message)}", highlight=False)
    return typer.Exit(1)


def print_json(value: object) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


@contextmanager
def database() -> Iterator[Database]:
    """The database of the settings, migrated, closed at the end of the `with`."""
    from serving.settings import Settings
    from serving.storage.database import Database

    db = Database(Settings().database)
    db.migrate()
    try:
        yield db
    finally:
        db.close()
