"""`fenzhen models`: what the repository holds, whether it is intact, and adding to it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from serving.cli_tools import AsJson, err, fail, out, print_json

if TYPE_CHECKING:
    from models.repository import ModelEntry

app = typer.Typer(no_args_is_help=True, help="The model repository.")

MAX_BYTES = 2_000_000_000
"""Default limit: what one ONNX file can hold."""


Kind = Literal["folder", "densenet", "monai-bundle", "text-encoder"]
"""What a model to be added is."""


@app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """Every model in the repository with its licence notes."""
    from models.repository import ModelRepository
    from serving.settings import Settings

    entries = ModelRepository(Settings().models).entries()
    if as_json:
        print_json([e.manifest.model_dump(mode="json", exclude={"ood"}) for e in entries])
        return
    table = Table("model", "version", "task", "size", "licence notes")
    for entry in entries:
        size = f"{entry.network.stat().st_size / 1e6:.1f} MB"
        m = entry.manifest
        task = f"{m.task} (benchmarks only)" if m.benchmark_only else m.task
        table.add_row(m.name, str(m.version), task, size, "\n".join(m.licence_notes))
    out.print(table)


@app.command("verify")
def models_verify() -> None:
    """Check the sha256 of every file of every model; exit 1 at the first that differs."""
    from models.errors import ModelError
    from models.repository import ModelRepository
    from serving.settings import Settings

    try:
        entries = ModelRepository(Settings().models).entries()
        for entry in entries:
            entry.verify()
            out.print(f"{entry.manifest.name} {entry.manifest.version}: intact")
    except ModelError as error:
        raise fail(str(error)) from error


@app.command("card")
def models_card(name: str) -> None:
    """Print a model's card."""
    from rich.markdown import Markdown

    from models.errors import ModelError
    from models.repository import ModelRepository
    from serving.settings import Settings

    try:
        entry = ModelRepository(Settings().models, allow_noncommercial=True).get(name)
    except ModelError as error:
        raise fail(str(error)) from error
    out.print(Markdown(entry.card))


@app.command("add")
def models_add(
    source: Annotated[str | None, typer.Argument(help="A path or an http(s) address.")] = None,
    kind: Annotated[Kind, typer.Option(help="What it is; see docs/models.md.")] = "folder",
    about: Annotated[Path | None, typer.Option(help="What you know of it (--template).")] = None,
    as_next: Annotated[bool, typer.Option("--as-next", help="Add as the next version.")] = False,
    sha256: Annotated[
        str | None, typer.Option(help="What the file's sha256 must be; plain http needs it.")
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest download or unpacked size.")] = (
        MAX_BYTES
    ),
    template: Annotated[bool, typer.Option("--template", help="Print an about.yaml.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a model to the repository: a ready folder, or a checkpoint that you downloaded."""
    from models.errors import ModelError

    if template:
        from training.adopt.about import TEMPLATE

        sys.stdout.write(TEMPLATE.read_text(encoding="utf-8"))
        return
    if source is None:
        raise fail("which model? Give a path or an address")
    if (kind == "folder") != (about is None):
        raise fail(
            "a ready folder has a manifest: leave --about away"
            if kind == "folder"
            else f"{kind} needs --about; `fenzhen models add --template` prints one to fill in"
        )
    try:
        entry = _add(source, kind, about, sha256, max_bytes, as_next=as_next)
    except ModelError as error:
        raise fail(str(error)) from error
    except OSError as error:
        raise fail(f"nothing was added: {error.strerror or type(error).__name__}") from error
    _say(entry, as_json)


def _add(
    source: str, kind: Kind, about: Path | None, sha256: str | None, max_bytes: int, *,
    as_next: bool,
) -> ModelEntry:  # fmt: skip
    """Fetch, make where it must be made, check, install. Raises ModelError or OSError."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from models.adopt.check import check_folder
    from models.adopt.guard import check_kind
    from models.adopt.install import install
    from models.repository import ModelRepository
    from serving.model_download import is_address
    from serving.model_sources import opened
    from serving.settings import Settings

    root = Settings().models
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with (
        Progress(*columns, TransferSpeedColumn(), console=err, transient=True) as bar,
        tempfile.TemporaryDirectory(prefix="fenzhen-made-") as scratch,
    ):
        step = bar.add_task("fetching" if is_address(source) else "reading", total=None)
        with opened(
            source, whole=kind != "densenet", max_bytes=max_bytes, sha256=sha256,
            progress=lambda done, total: bar.update(step, completed=done, total=total),
        ) as found:  # fmt: skip
            if about is None:
                folder = found
            else:
                bar.update(step, description="exporting", completed=0, total=None)
                folder = Path(scratch)
                _make(kind, found, about, folder, max_bytes)
            bar.update(step, description="checking", completed=0, total=None)
            manifest = check_folder(folder)
            check_kind(manifest, [e.manifest for e in ModelRepository(root).entries()])
            return install(folder, manifest, root, as_next=as_next)


def _make(kind: Kind, source: Path, about: Path, folder: Path, max_bytes: int) -> None:
    try:
        from training.adopt.make import make_folder
    except ImportError as error:
        raise fail(f"{kind} needs the train extra (no {error.name} here)") from error
    assert kind != "folder"
    make_folder(kind, source, about, folder, max_bytes)


def _say(entry: ModelEntry, as_json: bool) -> None:
    m = entry.manifest
    if as_json:
        print_json({
            "name": m.name, "version": m.version, "task": m.task, "folder": str(entry.folder),
            "parity": m.parity, "licence_notes": m.licence_notes, "notes": m.notes,
        })  # fmt: skip
        return
    out.print(f"{m.name} {m.version} was added; a server that starts now serves it.")
    for note in (*m.licence_notes, *m.notes):
        out.print(f"  {note}", highlight=False, markup=False)
    if m.noncommercial:
        out.print("  It loads only with FENZHEN_ALLOW_NONCOMMERCIAL (evaluation).")
