"""The patient's words cut at the findings, so that a page can mark each where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from models.triage.result import FindingResult

Mark = Literal["present", "absent", "unknown", "past", "relative"]
MARKS: tuple[Mark, ...] = ("present", "absent", "unknown", "past", "relative")
"""In order of what is shown where findings overlap."""


@dataclass(frozen=True)
class Segment:
    """A stretch of text; `findings` are those whose words cover it, the one shown first."""

    text: str
    findings: tuple[FindingResult, ...] = ()

    @property
    def mark(self) -> Mark | None:
        """How it is marked; None for plain text."""
        return mark_of(self.findings[0]) if self.findings else None


def mark_of(finding: FindingResult) -> Mark:
    """Somebody else's before past, past before the status."""
    if finding.experiencer != "self":
        return "relative"
    if finding.temporality == "past":
        return "past"
    return finding.status


def segments(text: str, message: int, findings: Iterable[FindingResult]) -> list[Segment]:
    """One message as segments that join to the message again. Spans beyond it are ignored."""
    here = [f for f in findings if f.message == message and 0 <= f.start < f.end <= len(text)]
    cuts = sorted({0, len(text), *(f.start for f in here), *(f.end for f in here)})
    cut = []
    for start, end in pairwise(cuts):
        cover = [f for f in here if f.start <= start and end <= f.end]
        cover.sort(key=lambda f: (MARKS.index(mark_of(f)), f.start - f.end))
        cut.append(Segment(text[start:end], tuple(cover)))
    return cut


def marked(texts: Sequence[str], findings: Sequence[FindingResult]) -> list[list[Segment]]:
    """Every message as segments."""
    return [segments(text, number, findings) for number, text in enumerate(texts)]
