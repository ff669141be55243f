"""Text normalisation that keeps every character's position.

One character in, one character out: full-width to half-width, upper to lower case,
traditional to simplified Chinese, curly to straight quotes. Because the length never
changes, a span found in the normalised text is the same span of the patient's own words.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from knowledge_base.writing import simplified

_FOLD = {
    "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"',
    "–": "-", "—": "-", "−": "-", "\u00a0": " ", "\u3000": " ", "\t": " ", "\r": " ",
    "，": ",", "；": ";", "：": ":", "？": "?", "！": "!", "（": "(", "）": ")", "．": ".",
}  # fmt: skip


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


def is_cjk(character: str) -> bool:
    """True for Chinese characters (unified ideographs with extension A)."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


def language_of(text: str) -> str:
    """`zh`, `en` or `unknown`, by counting letters; Chinese characters weigh four Latin ones.

    Mixed text with a Chinese sentence in it is Chinese: abbreviations do not make it English.
    Text of letters in any other script is `unknown` and goes to a person.
    """
    chinese = sum(map(is_cjk, text))
    latin = sum("a" <= c <= "z" for c in normalise(text))
    other = sum(c.isalpha() for c in text) - chinese - latin
    if other > chinese + latin:
        return "unknown"
    if chinese == 0 and latin == 0:
        return "unknown"
    return "zh" if chinese * 4 >= latin else "en"


def visible(text: str) -> tuple[str, list[int]]:
    """The text without invisible characters, and where each character of it stood.

    Zero-width and soft-hyphen characters come by copy and paste and would break words; other
    control characters become a space.
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
    return "".join(characters), places
