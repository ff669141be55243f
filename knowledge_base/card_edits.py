"""Other wordings for passages of the cards: what may be proposed, and the patch that makes it so.

Never writes: a patch is for the people who look after the cards, who apply it, read it and check
it like any other change. The marks of a passage's sources stay as they are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from knowledge_base.cards import FOLDER, Card, Passage, parse_card
from knowledge_base.check import DOSES, card_problems
from knowledge_base.language import Language
from knowledge_base.yaml_files import ContentError

LONGEST = 1000
"""Characters of a passage."""
REPOSITORY_FOLDER = "knowledge_base/content/cards"
"""Where the cards lie in the repository: the paths of a patch are relative to its root."""

Fault = Literal["empty", "too_long", "control_characters", "source_marks", "amount"]
FAULTS: Mapping[Fault, str] = {
    "empty": "the text is empty",
    "too_long": f"the text is longer than {LONGEST} characters",
    "control_characters": "the text holds control characters",
    "source_marks": "the text ends with the mark of a source: leave the marks out",
    "amount": "the text names an amount of a medicine: cards name classes of medicines only",
}
"""Why a text cannot be a passage, each in a sentence."""

_VERSION = re.compile(r"^version: (\d+)$", re.M)


@dataclass(frozen=True, slots=True)
class Edit:
    """Another text for a passage in one language, and the text that it stands for now.

    note: why, one line; it goes into the patch as a remark.
    """

    passage: str
    language: Language
    before: str
    after: str
    note: str = ""

    @property
    def card(self) -> str:
        """The id of its card."""
        return self.passage.partition("#")[0]


def passage_of(cards: Mapping[str, Card], passage_id: str, language: Language) -> Passage | None:
    """A passage of the cards; None where there is none."""
    card = cards.get(passage_id.partition("#")[0])
    return None if card is None else card.passage(passage_id, language)


def tidy(text: str) -> str:
    """The text on one line, with single blanks."""
    return " ".join(text.split())


def fault(text: str) -> Fault | None:
    """Why a tidy text cannot be a passage; None where it can."""
    if not any(character.isalnum() for character in text):
        return "empty"
    if len(text) > LONGEST:
        return "too_long"
    if not text.isprintable():
        return "control_characters"
    if re.search(r"\[[a-z0-9]+\]$", text):
        return "source_marks"
    if any(pattern.search(text) for pattern in DOSES):
        return "amount"
    return None


def patch(edits: Iterable[Edit], folder: Path = FOLDER) -> str:
    """A unified diff that makes the edits and raises the version of every card that they touch.

    Raises ContentError for an edit whose passage does not read as its `before` any more, or that
    would break its card.
    """
    by_card: dict[str, list[Edit]] = {}
    for edit in edits:
        by_card.setdefault(edit.card, []).append(edit)
    return "".join(_patched(card, by_card[card], folder) for card in sorted(by_card))


def new_problems(
    edits: Collection[Edit],
    concepts: Collection[str],
    departments: Collection[str],
    folder: Path = FOLDER,
) -> list[str]:
    """What the content check would say of the cards after the edits and does not say now."""
    found: list[str] = []
    for card in sorted({edit.card for edit in edits}):
        before = _read(card, folder)
        after = _edited(before, [edit for edit in edits if edit.card == card], card)
        known, told = (
            list(card_problems(parse_card(text, f"{card}.md"), concepts, departments))
            for text in (before, after)
        )
        found += [problem for problem in told if problem not in known]
    return found


def _patched(card: str, edits: list[Edit], folder: Path) -> str:
    before = _read(card, folder)
    path = f"{REPOSITORY_FOLDER}/{card}.md"
    remarks = [f"# {edit.passage} {edit.language}: {tidy(edit.note)}\n" for edit in edits]
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        _edited(before, edits, card).splitlines(keepends=True),
        f"a/{path}",
        f"b/{path}",
    )
    return "".join((*remarks, *lines))


def _edited(text: str, edits: list[Edit], card: str) -> str:
    """The card's file with the edits, its version raised by one."""
    was = parse_card(text, f"{card}.md")
    lines = text.split("\n")
    expected = {(p.id, p.language): p for p in was.passages}
    for edit in edits:
        passage = expected.get((edit.passage, edit.language))
        if passage is None or passage.text != edit.before:
            raise ContentError(f"{edit.passage} ({edit.language}) has changed since")
        head, found, tail = lines[passage.line - 1].partition(passage.text)
        if not found:
            raise ContentError(f"{edit.passage} ({edit.language}) is not where it was read")
        lines[passage.line - 1] = head + edit.after + tail
        expected[edit.passage, edit.language] = replace(passage, text=edit.after)
    after = _VERSION.sub(lambda found: f"version: {int(found[1]) + 1}", "\n".join(lines), count=1)
    if parse_card(after, f"{card}.md").passages != tuple(expected.values()):
        raise ContentError(f"{card}: the edits would change more than their passages")
    return after


def _read(card: str, folder: Path) -> str:
    try:
        return (folder / f"{card}.md").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ContentError(f"{card}: there is no such card") from error
