"""Search tokens of Chinese and English text, the same for cards and queries.

Chinese runs become characters and pairs of neighbours: on our passages that retrieves better
than a word segmenter and is ten times faster. Other runs become stemmed words. Positions are
lost, so findings extraction has its own normalisation, which keeps them.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache
from importlib import resources
from itertools import pairwise

import Stemmer

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_RUN = re.compile(rf"([{_HAN}]+)|([^\W_{_HAN}]+)")
_ANY_HAN = re.compile(rf"[{_HAN}]")
_LIGATURE = re.compile("ae|oe")
_LONG_WORD = 6

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

_stemmers = threading.local()


@lru_cache(maxsize=1)
def _simplified() -> dict[int, str]:
    """Traditional to simplified characters, from OpenCC's dictionary, for `str.translate`."""
    text = (resources.files("opencc") / "dictionary" / "TSCharacters.txt").read_text("utf-8")
    pairs = (line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    table = {ord(old): new.split()[0] for old, new in pairs if len(old) == 1 and new.strip()}
    table[ord("乾")] = "干"
    return table


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


def _stem(word: str) -> str:
    # A PyStemmer object must not be shared between threads.
    stemmer = getattr(_stemmers, "english", None)
    if stemmer is None:
        stemmer = _stemmers.english = Stemmer.Stemmer("english")
    if len(word) >= _LONG_WORD:
        word = _LIGATURE.sub("e", word)  # haemorrhage, diarrhoea: British and American agree
    return str(stemmer.stemWord(word))


def tokenise(text: str) -> list[str]:
    """Tokens in the order of the text: Han characters and pairs, stemmed words, numbers.

    Function words and characters are left out; a pair goes only when both of its halves do.
    """
    tokens: list[str] = []
    for han, word in _RUN.findall(fold(text)):
        if word:
            if word not in STOP_WORDS:
                tokens.append(_stem(word))
            continue
        tokens.extend(c for c in han if c not in STOP_CHARACTERS)
        tokens.extend(
            first + second
            for first, second in pairwise(han)
            if first not in STOP_CHARACTERS or second not in STOP_CHARACTERS
        )
    return tokens
