"""Text normalisation that keeps every character's position.

One character in, one character out: full-width to half-width, upper to lower case,
traditional to simplified Chinese, curly to straight quotes. Because the length never
changes, a span found in the normalised text is the same span of the patient's own words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import accumulate

from knowledge_base.language import Language
from knowledge_base.writing import simplified

_FOLD = {
    "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"',
    "–": "-", "—": "-", "−": "-", "\u00a0": " ", "\u3000": " ", "\t": " ", "\r": " ",
    "，": ",", "；": ";", "：": ":", "？": "?", "！": "!", "（": "(", "）": ")", "．": ".",
}  # fmt: skip


_CJK = "[\u3400-\u4dbf\u4e00-\u9fff]"
_BLANK = "[ \u3000\t\u00a0]"
_SPACED = re.compile(
    # After a single character, or before one, where the other side is Chinese too.
    rf"(?:(?<=^{_CJK})|(?<={_BLANK}{_CJK})|(?<=\n{_CJK})){_BLANK}+(?={_CJK})"
    rf"|(?<={_CJK}){_BLANK}+(?={_CJK}(?:{_BLANK}|$|[\n,.;!?，。；！？、]))"
)
"""Blanks on either side of a Chinese character that stands alone: double-spaced writing."""


@lru_cache(maxsize=65536)
def _fold(character: str) -> str:
    folded = _FOLD.get(character)
    if folded is not None:
        return folded
    folded = unicodedata.normalize("NFKC", character)
    if len(folded) != 1:
        folded = character
    lowered = folded.lower()
    if len(lowered) == 1:
        folded = lowered
    return simplified().get(folded, folded)


def normalise(text: str) -> str:
    """The same text for matching; `len(normalise(text)) == len(text)` always."""
    return "".join(map(_fold, text))


def with_case(normalised: str, text: str) -> str:
    """Normalised text with the capitals of the original: F may be a sex, f a unit."""
    return "".join(
        n.upper() if "a" <= n <= "z" and t.isupper() else n
        for n, t in zip(normalised, text, strict=True)
    )


def is_cjk(character: str) -> bool:
    """True for Chinese characters (unified ideographs with extension A)."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


LETTERS_PER_CHARACTER = 4
"""Latin letters that say about as much as one Chinese character."""


class Letters:
    """The letters of a text, counted once: which language any part of it is in."""

    def __init__(self, text: str) -> None:
        folded = normalise(text)
        self._chinese = [0, *accumulate(map(is_cjk, folded))]
        self._latin = [0, *accumulate("a" <= c <= "z" for c in folded)]
        self._letters = [0, *accumulate(c.isalpha() for c in text)]

    def language(self, start: int = 0, end: int | None = None) -> str:
        """`zh`, `en` or `unknown`; Chinese characters weigh four Latin letters.

        Mixed text with a Chinese sentence in it is Chinese: abbreviations do not make it English.
        Text of letters in any other script is `unknown` and goes to a person.
        """
        end = len(self._letters) - 1 if end is None else min(end, len(self._letters) - 1)
        chinese, latin, letters = (
            counts[end] - counts[start] for counts in (self._chinese, self._latin, self._letters)
        )
        if letters - chinese - latin > chinese + latin or chinese + latin == 0:
            return "unknown"
        return "zh" if chinese * LETTERS_PER_CHARACTER >= latin else "en"


def language_of(text: str) -> str:
    """The language of a whole text: see `Letters.language`."""
    return Letters(text).language()


def answered_in(text: str) -> Language:
    """The language to answer a question in: English to English, else Chinese."""
    return "en" if language_of(text) == "en" else "zh"


def visible(text: str) -> tuple[str, list[int]]:
    """The text without invisible characters, and where each character of it stood.

    Zero-width and soft-hyphen characters come by copy and paste and would break words, and so
    do blanks beside a single Chinese character (胸 口 痛); other control characters become a space.
    """
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cf":
            continue
        plain = " " if category == "Cc" and character not in "\n\t\r" else character
        characters.append(plain)
        places.append(place)
    shown = "".join(characters)
    dropped = {at for match in _SPACED.finditer(shown) for at in range(*match.span())}
    if dropped:
        shown = "".join(c for at, c in enumerate(shown) if at not in dropped)
        places = [place for at, place in enumerate(places) if at not in dropped]
    return shown, places
