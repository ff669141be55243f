"""Writes cards into a folder, one file per card and language, with their `sources.yaml`.

The folder can be taken into a library as it is (`fenzhen kb ingest`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

import yaml

from knowledge_base.cards import Card
from knowledge_base.exporting.sheet import Sheet, newest_year, sheet
from knowledge_base.language import Language
from knowledge_base.library.origin import read_catalogue
from knowledge_base.search.entry import OWN_LICENCE
from knowledge_base.yaml_files import ContentError

Format = Literal["pdf", "docx", "html", "md"]
FORMATS: tuple[Format, ...] = get_args(Format)

Writer = Callable[[Sheet, datetime], bytes]
_HEAD = "# Written by `fenzhen kb export`; read by `fenzhen kb ingest`.\n"


def export(
    cards: Mapping[str, Card],
    folder: Path,
    form: Format,
    *,
    ids: Sequence[str] = (),
    languages: Sequence[Language] = ("zh", "en"),
    now: datetime,
    progress: Callable[[Sequence[Card]], Iterator[Card]] = iter,
) -> list[Path]:
    """Write `ID.LANGUAGE.FORMAT` for the cards named, or for all; the files written.

    A file of that name is replaced. Raises ContentError for an unknown card and for a folder
    whose sources.yaml is somebody else's, OSError where a file cannot be written.
    """
    unknown = sorted(set(ids) - cards.keys())
    if unknown:
        raise ContentError(f"no card is called {', '.join(unknown)}")
    chosen = [cards[name] for name in dict.fromkeys(ids or cards)]
    write = _writer(form)
    folder.mkdir(parents=True, exist_ok=True)
    _write_catalogue(folder, chosen, languages)
    written = []
    for card in progress(chosen):
        for language in languages:
            path = folder / f"{card.head.id}.{language}.{form}"
            path.write_bytes(write(sheet(card, language), now))
            written.append(path)
    return written


def _writer(form: Format) -> Writer:
    # Imported here: a server that only searches needs none of them.
    module = "markdown" if form == "md" else form
    writer: Writer = getattr(import_module(f"knowledge_base.exporting.{module}"), f"write_{module}")
    return writer


def _write_catalogue(folder: Path, cards: Sequence[Card], languages: Sequence[Language]) -> None:
    """Where the files come from, added to what an earlier export says of others."""
    path = folder / "sources.yaml"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_HEAD):
        raise ContentError(f"{path} is of other documents; choose another folder")
    files = dict(read_catalogue(folder).files)
    for card in cards:
        for language in languages:
            files[f"{card.head.id}.{language}.*"] = _origin(card, language)
    told = {"defaults": {"licence": OWN_LICENCE, "organisation": "Fenzhen"}, "files": files}
    text = yaml.safe_dump(told, allow_unicode=True, sort_keys=False, width=1000)
    path.write_text(_HEAD + text, encoding="utf-8")


def _origin(card: Card, language: Language) -> dict[str, object]:
    head = card.head
    return {
        "title": head.title[language],
        "year": newest_year(card),
        "identifier": f"{head.id} v{head.version}",
        # A document has one audience: most sections of a card speak to clinicians alone.
        "audience": "physician",
        "grade": head.grade,
        "departments": list(head.departments),
    }
