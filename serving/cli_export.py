"""`fenzhen kb export`: the cards as documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from serving.cli_tools import AsJson, err, fail, out, print_json


def kb_export(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")],
    form: Annotated[str, typer.Option("--format", help="pdf, docx, html or md")],
    language: Annotated[str | None, typer.Option(help="zh or en; by default both")] = None,
    card: Annotated[
        list[str] | None, typer.Option(help="Id of a card, several times for several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the cards as PDF, DOCX, HTML or Markdown, one file per card and language.

    The folder also gets a sources.yaml, so that it can be ingested as it is.
    """
    from datetime import UTC, datetime

    from rich.progress import track

    from knowledge_base.cards import cards
    from knowledge_base.exporting.export import FORMATS, export
    from knowledge_base.yaml_files import ContentError

    chosen = next((f for f in FORMATS if f == form), None)
    if chosen is None:
        raise fail(f"format is one of {', '.join(FORMATS)}")
    if language not in (None, "zh", "en"):
        raise fail("language is zh or en")
    try:
        written = export(
            cards(),
            folder,
            chosen,
            ids=card or (),
            languages=[code for code in ("zh", "en") if language in (None, code)],
            now=datetime.now(UTC),
            progress=lambda found: iter(track(found, "writing", console=err)),
        )
    except (ContentError, OSError) as error:
        raise fail(str(error)) from error
    out.print(f"{len(written)} files in {escape(str(folder))}", highlight=False)
    if as_json:
        print_json({"folder": str(folder), "files": [path.name for path in written]})
