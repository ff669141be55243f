"""`fenzhen kb proposals`: wordings that clinicians propose for the cards, and their patch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from serving.cli_tools import AsJson, database, err, fail, out, print_json

if TYPE_CHECKING:
    from serving.curation.proposal import Proposal


def kb_proposals(
    accepted: Annotated[
        bool, typer.Option("--accepted", help="Only those that are accepted and not yet applied.")
    ] = False,
    patch: Annotated[
        Path | None,
        typer.Option(help="Write a unified diff of the accepted ones, for `git apply`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List proposed wordings of cards, or write those that are accepted as a patch."""
    from knowledge_base.cards import cards
    from serving.curation.proposals import every
    from serving.storage.codes import ProposalState

    state = ProposalState.ACCEPTED if accepted or patch is not None else None
    with database() as db:
        found = every(db, cards(), state=state)
    if patch is not None:
        _write(found, patch)
    elif not as_json:
        table = Table("proposal", "passage", "language", "state", "proposed by", "text")
        for p in found:
            shown = (p.proposer_name, p.text)
            table.add_row(p.id, p.passage, p.language, p.state.value, *map(escape, shown))
        out.print(table)
    if as_json:
        print_json([_as_json(p) for p in found])


def _write(found: Sequence[Proposal], target: Path) -> None:
    from knowledge_base.card_edits import new_problems, patch
    from knowledge_base.lexicon.departments import taxonomy
    from knowledge_base.lexicon.findings import lexicon
    from knowledge_base.yaml_files import ContentError

    edits = [p.edit for p in found]
    try:
        target.write_text(patch(edits), encoding="utf-8")
        problems = new_problems(edits, lexicon(), taxonomy().departments)
    except (ContentError, OSError) as error:
        raise fail(str(error)) from error
    for problem in problems:
        err.print(f"[yellow]the check will say[/] {escape(problem)}", highlight=False)
    out.print(f"{len(edits)} accepted proposals in {escape(str(target))}", highlight=False)


def _as_json(proposal: Proposal) -> dict[str, object]:
    from pydantic import TypeAdapter

    from serving.curation.proposal import Proposal

    return dict(TypeAdapter(Proposal).dump_python(proposal, mode="json"))
