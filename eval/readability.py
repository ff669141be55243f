"""How hard a text is to read: Flesch-Kincaid grade in English, a measure of our own in Chinese.

English: Kincaid and others 1975, grade = 0.39 words/sentence + 11.8 syllables/word - 15.59, with
syllables counted by vowel groups. Chinese: the longest stretch between sentence marks, and the
share of characters outside the 3,755 common ones of GB 2312-80 level 1 (about what compulsory
school teaches). Counts only; whether a text is true or kind it cannot say.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_SENTENCE_EN = re.compile(r"[.!?;:]+(?=\s|$)")
_SENTENCE_ZH = re.compile(r"[。！？；;!?]")
_VOWELS = re.compile(r"[aeiouy]+")
_SILENT = re.compile(r"(?:[^laeiouy]es|[^tdaeiouy]ed|[^laeiouy]e)$")
_LEVEL_1 = range(0xB0, 0xD8)
"""First bytes of the common characters of GB 2312-80 in the EUC-CN encoding."""


def syllables(word: str) -> int:
    """Syllables of an English word, by vowel groups, a silent ending taken off."""
    word = word.lower().removesuffix("'s")
    groups = len(_VOWELS.findall(word))
    if groups > 1 and _SILENT.search(word) and not word.endswith(("ches", "shes", "ses", "ges")):
        groups -= 1
    return max(1, groups)


def flesch_kincaid_grade(text: str) -> float:
    """Years of school that an English text asks for; 0 for a text without words."""
    words = _WORD.findall(text)
    if not words:
        return 0.0
    sentences = max(1, sum(bool(_WORD.search(part)) for part in _SENTENCE_EN.split(text)))
    per_word = sum(map(syllables, words)) / len(words)
    return 0.39 * len(words) / sentences + 11.8 * per_word - 15.59


def longest_sentence_zh(text: str) -> int:
    """Characters of the longest Chinese sentence, marks left out."""
    return max(len(re.sub(r"[\s，、：:,（）()“”\"']", "", s)) for s in _SENTENCE_ZH.split(text))


def rare_share_zh(text: str) -> float:
    """Share of the Chinese characters that are not among the common ones."""
    characters = [c for c in text if "\u4e00" <= c <= "\u9fff"]
    rare = sum(not _common(c) for c in characters)
    return rare / len(characters) if characters else 0.0


def _common(character: str) -> bool:
    try:
        return character.encode("gb2312")[0] in _LEVEL_1
    except UnicodeEncodeError:
        return False
