"""`fenzhen kb`: the cards, and the library of documents from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from serving.cli_export import kb_export
from serving.cli_proposals import kb_proposals
from serving.cli_tools import AsJson, err, fail, out, print_json

if TYPE_CHECKING:
    from knowledge_base.embedder import Embedder
    from knowledge_base.library.store import Library

app = typer.Typer(no_args_is_help=True, help="The guideline knowledge base.")
app.command("export")(kb_export)
app.command("proposals")(kb_proposals)

_SHOWN = 20
"""Broken files that are listed by name; `--json` has all of them."""


@app.command("check")
def kb_check() -> None:
    """Validate cards, lexicon and rules; exit 1 and list what is wrong."""
    from knowledge_base.check import check

    problems = check()
    for problem in problems:
        out.print(problem, highlight=False)
    if problems:
        raise fail(f"{len(problems)} problems")
    out.print("The content is sound.")


@app.command("search")
def kb_search(
    query: str,
    language: Annotated[str | None, typer.Option(help="zh or en")] = None,
    k: Annotated[int, typer.Option(min=1, max=50)] = 5,
    as_json: AsJson = False,
) -> None:
    """Search the cards and, once an index is built, the library."""
    from models.text.normalise import answered_in
    from serving.knowledge import ServedKnowledge
    from serving.settings import Settings

    if language not in (None, "zh", "en"):
        raise fail("language is zh or en")
    embedder, identity = _embedder()
    index = ServedKnowledge(Settings().knowledge_index, embedder, identity).index
    wanted = language or answered_in(query)
    hits = index.search(query, k=k, language="en" if wanted == "en" else "zh")
    if as_json:
        print_json([{"id": h.entry.id, "score": h.score, "text": h.shown.text} for h in hits])
        return
    for hit in hits:
        title, passage = escape(hit.shown.title), escape(hit.shown.text)
        out.print(f"[bold]{title}[/] [dim]{escape(hit.entry.id)}[/]\n  {passage}")
    if not hits:
        out.print("Nothing found.")


@app.command("build")
def kb_build(as_json: AsJson = False) -> None:
    """Build the search index over cards and library; a running server takes it over."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from knowledge_base.search.entry import document_entries
    from knowledge_base.search.index import KnowledgeIndex
    from knowledge_base.search.versions import publish
    from serving.settings import Settings

    embedder, identity = _embedder()
    with _library() as library, err.status("building"):
        further = list(document_entries(library.documents(), library.chunks()))
        index = KnowledgeIndex.build(embedder, further=further)
        about = publish(index, identity, Settings().knowledge_index, datetime.now(UTC))
    out.print(
        f"version {about.version}: {about.cards} cards and {about.documents} documents,"
        f" {about.passages} passages"
    )
    if as_json:
        print_json(asdict(about))


@app.command("versions")
def kb_versions(
    use: Annotated[str | None, typer.Option(help="Serve this version from now on.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the built indexes, or go back to an earlier one."""
    from dataclasses import asdict

    from knowledge_base.search.versions import NoIndex, current, serve, versions
    from serving.settings import Settings

    folder = Settings().knowledge_index
    if use is not None:
        try:
            serve(folder, use)
        except NoIndex as error:
            raise fail(str(error)) from error
    served, found = current(folder), versions(folder)
    if as_json:
        print_json([asdict(about) | {"served": about.version == served} for about in found])
        return
    table = Table("version", "served", "cards", "documents", "passages", "embedding")
    for about in found:
        mark = "yes" if about.version == served else ""
        counts = (about.cards, about.documents, about.passages)
        table.add_row(about.version, mark, *map(str, counts), about.embedder)
    out.print(table)


@app.command("ingest")
def kb_ingest(
    places: Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)],
    collection: Annotated[
        str | None, typer.Option(help="Name in the library; by default that of the folder.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Code of knowledge_base/library/licences.yaml.")
    ] = None,
    organisation: Annotated[str | None, typer.Option(help="Publisher.")] = None,
    year: Annotated[int | None, typer.Option(help="Year of publication.")] = None,
    audience: Annotated[str | None, typer.Option(help="patient, physician or both")] = None,
    access: Annotated[str | None, typer.Option(help="public or staff")] = None,
    grade: Annotated[
        str | None, typer.Option(help="guideline, consensus, review, textbook or information")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take documents into the library: Markdown, HTML, PDF, DOCX, MedQuAD XML, FHIR, JSON Lines.

    What is unchanged is passed over, a broken file is reported and left out. A file named
    sources.yaml in the folder says where its documents come from.
    """
    from datetime import UTC, datetime

    from rich.progress import track

    from knowledge_base.library.document import Unreadable
    from knowledge_base.library.ingest import Source, ingest, sources
    from knowledge_base.yaml_files import ContentError

    given = {
        "licence": licence, "organisation": organisation, "year": year, "audience": audience,
        "access": access, "grade": grade,
    }  # fmt: skip
    listed: list[Source] = []
    whole: list[str] = []
    try:
        for place in places:
            found = sources(place, collection)
            listed += found
            if place.is_dir():
                whole.append(collection or place.resolve().name)
    except (Unreadable, ContentError) as error:
        raise fail(str(error)) from error
    if len(set(whole)) < len(whole):
        raise fail("two folders of one name: ingest them one by one, each with its --collection")
    with _library() as library:
        report = ingest(
            library,
            listed,
            given={key: value for key, value in given.items() if value is not None},
            now=lambda: datetime.now(UTC),
            whole=whole,
            progress=lambda files: iter(track(files, "reading", console=err)),
        )
    for name, why in report.broken[:_SHOWN]:
        err.print(f"[yellow]left out[/] {escape(name)}: {escape(why)}", highlight=False)
    if len(report.broken) > _SHOWN:
        err.print(f"… and {len(report.broken) - _SHOWN} more")
    out.print(
        f"{report.taken} files taken, {report.unchanged} unchanged, {len(report.broken)} left out,"
        f" {report.removed} removed: {report.documents} documents, {report.chunks} chunks,"
        f" {report.duplicates} of them near-duplicates"
    )
    if as_json:
        print_json(vars(report))


@app.command("documents")
def kb_documents(as_json: AsJson = False) -> None:
    """List the documents of the library with their licences."""
    with _library() as library:
        found = list(library.documents())
    if as_json:
        print_json(
            [
                {"id": d.id, "title": d.title, "chunks": d.chunks, "duplicates": d.duplicates}
                | d.origin.model_dump(mode="json", exclude={"title"})
                for d in found
            ]
        )
        return
    table = Table("document", "title", "licence", "chunks", "near-duplicates")
    for d in found:
        counts = (str(d.chunks), str(d.duplicates))
        table.add_row(escape(d.id), escape(d.title), d.origin.licence, *counts)
    out.print(table)


@app.command("forget")
def kb_forget(
    files: Annotated[list[str], typer.Argument(help="COLLECTION/PATH of files.")],
) -> None:
    """Take files out of the library."""
    with _library() as library:
        unknown = set(files) - library.files().keys()
        if unknown:
            raise fail(f"not in the library: {', '.join(sorted(unknown))}")
        library.forget(files)
    out.print(f"{len(files)} files taken out of the library")


def _embedder() -> tuple[Embedder, str]:
    """The embedding model of the repository, and its name."""
    from models.embedder import HostedEmbedder
    from models.errors import ModelError
    from models.tasks.embedding import EmbeddingTask
    from serving.settings import Settings

    try:
        entry = Settings().repository.get(EmbeddingTask.model)
    except ModelError as error:
        raise fail(str(error)) from error
    return HostedEmbedder.of(entry), entry.identity


@contextmanager
def _library() -> Iterator[Library]:
    from knowledge_base.library.store import Library
    from serving.settings import Settings

    library = Library(Settings().library)
    try:
        yield library
    finally:
        library.close()
