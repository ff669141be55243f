"""A card as one HTML page that needs no other file; everything in it is escaped."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from knowledge_base.exporting.sheet import Sheet


def write_html(sheet: Sheet, _at: datetime) -> bytes:
    """The page; UTF-8."""
    return _template().render(sheet=sheet).encode()


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.html")
