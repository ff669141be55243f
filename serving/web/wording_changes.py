"""How two wordings of a passage differ, piece by piece, for showing them side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

_PIECE = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|\s+|[^\w\s]")
"""A Chinese character, a word, blanks, or a mark of punctuation."""


@dataclass(frozen=True)
class Part:
    """A stretch of a text; `changed` where the other text has something else."""

    text: str
    changed: bool


def changes(before: str, after: str) -> tuple[list[Part], list[Part]]:
    """Both texts in parts."""
    old, new = _PIECE.findall(before), _PIECE.findall(after)
    left: list[Part] = []
    right: list[Part] = []
    for tag, i, j, m, n in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for parts, text in ((left, "".join(old[i:j])), (right, "".join(new[m:n]))):
            if text:
                parts.append(Part(text, tag != "equal"))
    return left, right
