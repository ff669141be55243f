"""Whether a passage says what a sentence says: the check on every sentence of a generator.

Strict on purpose: a number that the passage does not hold, advice turned round, or words of its own
are enough to drop a sentence. What is dropped is lost, and the extractive answer stands beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowledge_base.answers.disagreement import advice
from knowledge_base.library.sentences import sentences
from knowledge_base.tokeniser import fold, is_han, tokenise

LEAST_COVERED = 0.7
"""Share of the sentence's content words that its passages must hold."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MARK = re.compile(r"\s*\[(\d{1,2}(?:\s*[,，]\s*\d{1,2})*)\]")
_LEADING = re.compile(rf"(?:{_MARK.pattern})+\s*")


@dataclass(frozen=True, slots=True)
class Claim:
    """A generated sentence without its marks, and the numbers of the passages that it names."""

    text: str
    cited: tuple[int, ...]


def claims(text: str) -> list[Claim]:
    """The sentences of a generated text; marks [1] or [1, 2] stand before or after full stops."""
    found: list[Claim] = []
    for start, end in sentences(text):
        piece = text[start:end]
        leading = _LEADING.match(piece)
        if leading and found:  # marks after a full stop belong to the sentence before it
            found[-1] = Claim(found[-1].text, (*found[-1].cited, *_numbers(leading.group())))
            piece = piece[leading.end() :]
        bare = _MARK.sub("", piece).strip()
        if bare:
            found.append(Claim(bare, _numbers(piece)))
    return found


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for mark in _MARK.finditer(text) for n in _NUMBER.findall(mark[1]))


def supported(claim: str, passages: list[str]) -> bool:
    """Whether the passages together hold the claim's numbers and words, and one its direction."""
    if not passages:
        return False
    together = fold("\n".join(passages))
    if not set(_NUMBER.findall(fold(claim))) <= set(_NUMBER.findall(together)):
        return False
    words, held = _content(claim), _content(together)
    if not words or len(words & held) < LEAST_COVERED * len(words):
        return False
    direction = advice(claim)
    said = {
        advice(passage[start:end])
        for passage in passages
        for start, end in sentences(passage)
        if len(_content(passage[start:end]) & words) >= 0.3 * len(words)
    }
    return direction == 0 or direction in said


def _content(text: str) -> set[str]:
    return {t for t in tokenise(text) if len(t) > 1 or not is_han(t)}
