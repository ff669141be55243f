"""Whether a named illness is told as an emergency of this moment: "is having a heart attack".

A heart attack or a stroke is named by those who had one and by those who are having one. Words
of now beside the name tell them apart, and so does a message that says nothing else. It reads
no denial, date or owner: that is `context.py`, and what is past never comes here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from knowledge_base.lexicon.context import cues
from models.text.normalise import LETTERS_PER_CHARACTER, is_cjk
from models.text.words import alternatives

_MARK = re.compile(r"[,。.!?;:\n]")
_NEAR = {"zh": r"[^,]{0,4}$", "en": r"(?:[^a-z,]+[a-z']+){0,3}[^a-z,]*$"}
"""What may stand between a word of now and the name."""
_YEAR = re.compile(r"年|(?<!\d)(?:19|20)\d\d(?!\d)|(?<![a-z])years?(?![a-z])")
_BEHIND = 3
"""Characters behind a Chinese name in which it is said to have come (心梗发作了)."""
_REACH = 300
"""Characters beyond which nothing bears on the name: a text without marks is no one clause."""
_MOST_ALONE = 6
"""Chinese characters beside a name that still leave it alone: "my husband had a …"."""


def _after_vaccine(language: str) -> tuple[str, str]:
    """Just after a vaccine, as it stands before and behind the name of what it brought on.

    Not years after; and 中风后打疫苗 asks for a vaccine.
    """
    vaccines = alternatives(cues()[language].vaccine_after, whole=language == "en")
    if language == "zh":
        phrase = rf"(?:打|接种)[^,]{{0,6}}?{vaccines}(?:以|之)?后"
        return rf"{phrase}[^,]{{0,5}}$", rf"[^,后]{{0,3}}?{phrase}"
    phrase = rf"(?:after|following|since)\s+(?:[\w'-]+\s+){{0,3}}?{vaccines}"
    between = r"\s*(?:(?:\d+|an?|two|three|few)\s+)*(?:(?:minute|hour|day|week)s?\s+)?"
    return phrase + _NEAR["en"], between + phrase


class _Words:
    """The compiled words of one language."""

    def __init__(self, language: str) -> None:
        words = cues()[language].happening
        whole = language == "en"
        self.before = re.compile(alternatives(words.before, whole=whole) + _NEAR[language])
        self.after = re.compile(alternatives(words.after, whole=whole))
        self.over_before = re.compile(alternatives(words.over_before, whole=whole))
        self.over_after = re.compile(alternatives(words.over_after, whole=whole))
        before, behind = _after_vaccine(language)
        self.after_vaccine, self.vaccine_behind = re.compile(before), re.compile(behind)
        self.asks = re.compile(alternatives(words.asks, whole=whole))


@lru_cache(maxsize=2)
def _words(language: str) -> _Words:
    return _Words(language)


def is_happening(text: str, start: int, end: int, language: str) -> bool:
    """Whether the illness named at `[start, end)` of normalised `text` is there this moment."""
    words = _words(language)
    left = _MARK.split(text[max(0, start - _REACH) : start])[-1]
    right = _right(text, end)
    if _is_vaccine_harm(words, left, right):
        return True
    if words.over_before.search(left) or words.over_after.search(right):
        return False
    within = words.before.search(left + text[start:end]) if language == "zh" else None
    return bool(within or words.before.search(left)) or has_come(text, start, end, language)


def _is_vaccine_harm(words: _Words, left: str, right: str) -> bool:
    """Whether it came after a vaccine of no stated year."""
    if _YEAR.search(left) or _YEAR.search(right):
        return False
    if words.vaccine_behind.match(right):
        return not words.over_before.search(left)
    return bool(words.after_vaccine.search(left)) and not words.over_after.search(right)


def _right(text: str, end: int) -> str:
    """What follows the name up to the next mark."""
    return _MARK.split(text[end : end + _REACH], maxsplit=1)[0]


def has_come(text: str, start: int, end: int, language: str) -> bool:
    """Whether the words behind the name say that it has come: 心梗(了), a stroke (this morning)."""
    right = _right(text, end)
    behind = text[start:end] + right[:_BEHIND] if language == "zh" else right
    return bool(_words(language).after.search(behind))


def is_said_alone(text: str, start: int, end: int, language: str) -> bool:
    """Whether a message names the illness and says and asks next to nothing else."""
    words = _words(language)
    rest = text[:start] + " , " + text[end:]
    if words.asks.search(rest) or words.over_before.search(text[:start]):
        return False
    if words.over_after.search(text[end:]):
        return False
    chinese = sum(map(is_cjk, rest))
    letters = sum(map(str.isalpha, rest)) - chinese
    return chinese + letters / LETTERS_PER_CHARACTER <= _MOST_ALONE
