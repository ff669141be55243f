"""Search tokens of Chinese and English text, the same for cards and queries.

Chinese runs become characters and pairs of neighbours: on our passages that retrieves better
than a word segmenter and is ten times faster. Other runs become stemmed words. Positions are
lost, so findings extraction has its own normalisation, which keeps them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from knowledge_base.writing import simplified, stems

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_RUN = re.compile(rf"([{_HAN}]+)|([^\W_{_HAN}]+)")
_ANY_HAN = re.compile(rf"[{_HAN}]")

STOP_CHARACTERS = frozenset(
    "的了吗呢吧啊呀嘛哦么是我你他她它们这那哪有在和与及或就都也还又很太更最个请问"
    "怎什何如为啥谁该要会能可以被把给让对从到着过得地之而但因所以于想办样"
)
STOP_WORDS = frozenset(
    """
    a an and any are as at be been being but by can could did do does for from get had has have
    having he her him his how i if in into is it its me my of on or our shall she should so
    some such than that the their them then there these they this those to us was we were what
    when where which who why will with would you your am about just very
    """.split()  # noqa: SIM905
)


@lru_cache(maxsize=1)
def _simplified() -> dict[int, str]:
    return str.maketrans(dict(simplified()))


def fold(text: str) -> str:
    """Half-width, lower-case, simplified: the form in which words are compared."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).lower().translate(_simplified())


def is_han(token: str) -> bool:
    """Whether a token is made of Chinese characters."""
    return "\u4e00" <= token[0] <= "\u9fff" or "\u3400" <= token[0] <= "\u4dbf"


def has_han(text: str) -> bool:
    """Whether any Chinese character occurs in a text."""
    return _ANY_HAN.search(text) is not None


def neighbours(text: str) -> list[str]:
    """Pairs of stemmed neighbouring words, function words among them ("type a"), unless both are.

    Chinese pairs are tokens already.
    """
    pairs: list[str] = []
    before = before_stem = ""
    for han, word in _RUN.findall(fold(text)):
        if han:
            before = ""
            continue
        [stem] = stems((word,))
        if before and not (before in STOP_WORDS and word in STOP_WORDS):
            pairs.append(f"{before_stem} {stem}")
        before, before_stem = word, stem
    return pairs


def tokenise(text: str) -> list[str]:
    """Tokens in the order of the text: Han characters and pairs, stemmed words, numbers.

    Function words and characters are left out; a pair goes only when both of its halves do.
    """
    tokens: list[str] = []
    for han, word in _RUN.findall(fold(text)):
        if word:
            if word not in STOP_WORDS:
                tokens.extend(stems((word,)))
            continue
        tokens.extend(c for c in han if c not in STOP_CHARACTERS)
        tokens.extend(
            first + second
            for first, second in pairwise(han)
            if first not in STOP_CHARACTERS or second not in STOP_CHARACTERS
        )
    return tokens
