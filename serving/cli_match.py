"""`fenzhen match`: the roster of doctors and the weights that order them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from serving.cli_tools import AsJson, database, err, fail, out, print_json

app = typer.Typer(no_args_is_help=True, help="Specialist matching: roster and weights.")

Out = Annotated[Path | None, typer.Option("--out", help="Write here instead of to the screen.")]


@app.command("import")
def match_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)], as_json: AsJson = False
) -> None:
    """Put a roster (CSV) in force as a new version; nothing changes if any line is wrong."""
    from models.matching.roster_csv import RosterRefused, read_roster
    from serving import audit
    from serving.settings import Settings
    from serving.storage import roster

    settings = Settings()
    try:
        doctors = read_roster(
            file.read_bytes(),
            max_bytes=settings.max_roster_bytes,
            max_rows=settings.max_roster_rows,
        )
    except RosterRefused as refused:
        for fault in refused.faults:
            err.print(str(fault), highlight=False, markup=False)
        raise fail("nothing was imported") from refused
    with database() as db:
        version = roster.import_doctors(db, doctors, actor=audit.SYSTEM)
    if as_json:
        print_json({"version": version, "doctors": len(doctors)})
    else:
        out.print(f"Roster version {version}: {len(doctors)} doctors.")


@app.command("export")
def match_export(to: Out = None) -> None:
    """Write the roster in force as CSV, in codes: importing it again changes nothing."""
    from serving.storage import roster

    with database() as db:
        content = roster.content(db)
    if content is None:
        raise fail("no roster has been imported")
    _write(content, to)


@app.command("example")
def match_example(
    doctors: Annotated[int, typer.Option(min=1, max=20_000, help="How many.")] = 40,
    to: Out = None,
) -> None:
    """Write an example roster of invented doctors, by code: always the same ones."""
    from models.matching.example import example_doctors
    from models.matching.roster_csv import write_roster

    _write(write_roster(example_doctors(doctors)), to)


@app.command("learn")
def match_learn(
    dry_run: Annotated[bool, typer.Option(help="Only show what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn weights from accepted and refused matches; a new version, where it predicts better."""
    from serving import audit, match_learning

    with database() as db:
        learned = match_learning.learn_all(db)
        version = None if dry_run else match_learning.put_in_force(db, learned, actor=audit.SYSTEM)
    if as_json:
        report = {code: asdict(one) for code, one in learned.items()}
        print_json({"version": version, "specialties": report})
        return
    table = Table("specialty", "choices", "held-out loss: now", "learned", "weights")
    for code, one in learned.items():
        losses = (one.loss_prior, one.loss_learned)
        weights = ", ".join(f"{name} {weight:g}" for name, weight in one.weights.items())
        table.add_row(
            code,
            str(one.choices),
            *("" if loss is None else f"{loss:.4f}" for loss in losses),
            weights if one.kept else "unchanged",
        )
    out.print(table)
    out.print("Nothing was changed." if version is None else f"Version {version} is in force.")


@app.command("use")
def match_use(
    version: Annotated[int, typer.Argument(min=0, help="0 stands for the shipped weights.")],
) -> None:
    """Put an older version of the weights in force again, as a new version."""
    from serving import audit, match_learning
    from serving.errors import FenzhenError

    try:
        with database() as db:
            new = match_learning.go_back(db, version, actor=audit.SYSTEM)
    except FenzhenError as error:
        raise fail(error.detail) from error
    out.print(f"Version {new} is in force, with the weights of version {version}.")


def _write(content: str, to: Path | None) -> None:
    if to is None:
        sys.stdout.write(content)
    else:
        to.write_text(content, encoding="utf-8")
