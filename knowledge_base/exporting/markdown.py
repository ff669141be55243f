"""A card as Markdown (CommonMark)."""

from __future__ import annotations

import re
from datetime import datetime

from knowledge_base.exporting.sheet import Sheet

_SPECIAL = re.compile(r"([\\`*_<>&\[\]])")
_LIKE_A_BLOCK = re.compile(r"^(\d+)([.)])(?=\s|$)|^([#+=~|-])")
"""What would begin a list, a heading or a rule at the start of a line."""


def write_markdown(sheet: Sheet, _at: datetime) -> bytes:
    """The card's text; UTF-8."""
    lines = [f"# {escaped(sheet.title)}", "", escaped(sheet.status), ""]
    for part in sheet.parts:
        lines += [f"## {escaped(part.heading)}", ""]
        lines += [f"- {escaped(bullet.text)} {bullet.marks}" for bullet in part.bullets]
        lines.append("")
    lines += [f"## {escaped(sheet.sources_heading)}", ""]
    lines += [f"- {r.mark} {escaped(r.text)}" for r in sheet.references]
    lines += ["", "---", "", escaped(sheet.footer), ""]
    return "\n".join(lines).encode()


def escaped(text: str) -> str:
    """Words that Markdown shows as they are."""
    words = _SPECIAL.sub(r"\\\1", text)
    return _LIKE_A_BLOCK.sub(lambda m: f"{m[1]}\\{m[2]}" if m[1] else f"\\{m[3]}", words)
