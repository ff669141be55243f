"""What both search and findings need to fold writing: simplified forms and English stems."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

import Stemmer

_LIGATURE = re.compile("ae|oe")
_LONG_WORD = 6
_stemmers = threading.local()


@lru_cache(maxsize=1)
def simplified() -> Mapping[str, str]:
    """Traditional to simplified, one character to one, from OpenCC's own dictionary."""
    table: dict[str, str] = {}
    text = (resources.files("opencc") / "dictionary" / "TSCharacters.txt").read_text("utf-8")
    for line in text.splitlines():
        old, _, new = line.partition("\t")
        if len(old) == 1 and new and len(new.split()[0]) == 1:
            table[old] = new.split()[0]
    # 乾 is mostly 干 (乾咳); OpenCC keeps it for the rare 乾坤.
    table["乾"] = "干"
    return MappingProxyType(table)


def stems(words: Sequence[str]) -> list[str]:
    """Snowball stems of lower-case English words; British and American spellings agree."""
    # A PyStemmer object must not be shared between threads.
    stemmer = getattr(_stemmers, "english", None)
    if stemmer is None:
        stemmer = _stemmers.english = Stemmer.Stemmer("english")
    folded = [_LIGATURE.sub("e", w) if len(w) >= _LONG_WORD else w for w in words]
    return list(map(str, stemmer.stemWords(folded)))
