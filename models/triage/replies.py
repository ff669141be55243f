"""Reads a reply to an open question: yes, no, not sure, a question back, something taken back.

Looks only at how the reply begins, after politeness; what else it says is read as any other
words of the patient. A "no" that belongs to something else (没有发烧, no fever) is no answer to
the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from knowledge_base.interview.data import reply_words
from knowledge_base.rules.facts import Status
from models.text.normalise import normalise, visible

_LONGEST_QUESTION = 60
"""Characters of a question back: a longer text tells more than it asks."""
_AFTER_POLITENESS = r"(?:[,.;!?~、 ]+|$)"
_ASKED_WORD = "X"
"""Stands in replies.yaml for a word that is asked about; normalised text has no capitals."""


@dataclass(frozen=True)
class Reply:
    """What a reply says of the question itself; all empty for words that answer something else.

    `social`: it is a greeting, thanks or a goodbye and nothing more.
    """

    status: Status | None = None
    asks_back: bool = False
    social: bool = False
    takes_back: bool = False


@dataclass(frozen=True)
class _Words:
    answers: tuple[tuple[re.Pattern[str], Status], ...]
    asks_back: re.Pattern[str]
    meaning: re.Pattern[str]
    social: re.Pattern[str]
    corrects: re.Pattern[str]


@lru_cache(maxsize=1)
def _words() -> tuple[_Words, ...]:
    def one(listed: tuple[str, ...]) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{each})" for each in listed))

    return tuple(
        _Words(
            # "Not sure" before "no": 不知道 begins like a no.
            ((one(w.unknown), "unknown"), (one(w.absent), "absent"), (one(w.present), "present")),
            one(w.asks_back),
            one(w.meaning),
            # Possessive: 谢谢谢谢谢 can be cut in many ways, and none must be tried twice.
            re.compile(rf"(?:(?:{'|'.join(w.social)}){_AFTER_POLITENESS})++"),
            one(w.corrects),
        )
        for w in reply_words().values()
    )


def read_reply(text: str) -> Reply:
    """The reply that a text begins with."""
    plain = normalise(visible(text)[0]).replace("。", ".").strip()
    said = _polite(plain)
    if plain and not said:
        return Reply(social=True)
    for words in _words():
        found = words.corrects.match(said)
        rest = said[found.end() :].strip() if found else said
        status = _status(words, rest)
        if found and (status in ("present", "absent") or not rest):
            return Reply(status=status, takes_back=True)
        if status is not None:
            return Reply(status=status)
        if len(said) <= _LONGEST_QUESTION and words.asks_back.search(said):
            return Reply(asks_back=True)
    return Reply()


def asks_for_meaning(text: str, spans: Iterable[tuple[int, int]]) -> bool:
    """Whether a text only asks what the words at `spans` mean: 流口水是什么意思."""
    folded = normalise(text).replace("。", ".")
    masked = (_polite((folded[:s] + _ASKED_WORD + folded[e:]).strip()) for s, e in spans)
    return any(words.meaning.fullmatch(m) for m in masked for words in _words())


def _polite(text: str) -> str:
    """What a text says after its greeting or thanks; empty where it says nothing more."""
    before = None
    while before != text:
        before = text
        for words in _words():
            if found := words.social.match(text):
                text = text[found.end() :].strip()
    return text


def _status(words: _Words, text: str) -> Status | None:
    for pattern, status in words.answers:
        if pattern.match(text):
            return status
    return None
