"""Where sentences begin and end, in Chinese and English."""

from __future__ import annotations

import re

_REFERENCES = r"(?:\s?\[[\w,，– -]{1,12}\])*"  # [3][s1]: they belong to the sentence before them
_END = re.compile(
    rf"[。！？!?；;…]+[”’」』）)\]\"']*{_REFERENCES}\s*"  # Chinese, and marks that no number holds
    rf"|\.[”’)\]\"']*{_REFERENCES}(?:\s+|$)"  # a full stop before a blank
    r"|\n+"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|Dr|Mr|Mrs|Ms|Prof|Fig|No|St|al|resp|cf|incl|max|min)"
    r"|\b[A-Z](?:\.[A-Z])*)\.$"
)
_SMALL = re.compile(r"[a-z(]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans [start, end) of the sentences of a text, without the blanks between them."""
    spans: list[tuple[int, int]] = []
    start = 0
    for mark in _END.finditer(text):
        if mark.group().startswith(".") and _goes_on(text, start, mark):
            continue
        _append(spans, text, start, mark.end())
        start = mark.end()
    _append(spans, text, start, len(text))
    return spans


def _goes_on(text: str, start: int, mark: re.Match[str]) -> bool:
    """Whether a full stop ends an abbreviation and no sentence."""
    if mark.end() < len(text) and _SMALL.match(text, mark.end()):
        return True
    return _ABBREVIATION.search(text[start : mark.start() + 1]) is not None and mark.end() < len(
        text
    )


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    right = start + len(piece.rstrip())
    if right > left:
        spans.append((left, right))
