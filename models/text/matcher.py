"""Finds lexicon terms in normalised text: a trie over Chinese characters and English stems.

Small words may stand inside a term without breaking it (胸口(特别)痛, pain in (the left) chest);
a "not" inside is remembered (肚子(不)痛). Longest match wins. Knows nothing of context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from knowledge_base.lexicon.context import cues
from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.lexicon.grammar import Side
from models.text.normalise import normalise
from models.text.typos import is_short, typos
from models.text.words import Word, adjacent, words, words_meant

_MAX_GAP = 6
_LONG_ENOUGH = 3
"""Characters of a Chinese term of which one may be mistyped."""


@dataclass(frozen=True)
class Mention:
    """A term in the text: `[start, end)` in characters; `negations` counts "not" inside it.

    `site` and `side` where a phrase names them; `corrected` where a typing error was read over.
    """

    code: str
    start: int
    end: int
    negations: int = 0
    site: str | None = None
    side: Side | None = None
    corrected: bool = False


@dataclass
class _Node:
    next: dict[str, _Node] = field(default_factory=dict)
    code: str | None = None


def _insert(root: _Node, symbols: Iterable[str], code: str) -> None:
    node = root
    for symbol in symbols:
        node = node.next.setdefault(symbol, _Node())
    if node.code is None:
        node.code = code


def _fold(text: str) -> str:
    """Normalised, with the two everyday words for pain as one: 疼 is 痛."""
    return normalise(text).replace("疼", "痛")


def _spellings(name: str) -> set[str]:
    """A term, and the same with the short word for pain: 胸部疼痛 is 胸部痛."""
    folded = _fold(name)
    return {folded, folded.replace("痛痛", "痛")}


class Matcher:
    """Built once from a lexicon; `find` is pure and thread-safe."""

    def __init__(self, terms: Lexicon) -> None:
        zh, en = cues()["zh"], cues()["en"]
        self._zh_fillers = frozenset(zh.fillers)
        self._zh_negations = frozenset(n for n in zh.negation if len(n) <= 3)
        self._en_fillers = frozenset(en.fillers)
        self._en_small = self._en_fillers | frozenset(en.modifiers)
        self._en_unstemmed = self._en_small | frozenset(en.exact)
        self._longest = max(map(len, (*self._zh_fillers, *self._zh_negations)))
        self._typos = typos()
        self._zh, self._en = _Node(), _Node()
        self._abbreviations: dict[str, str] = {}
        for concept in terms.values():
            for name in concept.names_zh:
                for spelling in _spellings(name):
                    _insert(self._zh, spelling, concept.code)
            for name in concept.names_en:
                named = words(normalise(name), self._en_unstemmed)
                content = [t.stem for t in named if t.word not in self._en_fillers]
                if len(content) < 2:
                    # "the pill" must not become every "pill": the small words then count.
                    content = [t.stem for t in named]
                _insert(self._en, content, concept.code)
            for name in concept.abbreviations:
                self._abbreviations.setdefault(name, concept.code)
        if self._abbreviations:
            names = "|".join(sorted(map(re.escape, self._abbreviations), key=len, reverse=True))
            self._abbreviation = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])")

    def find(self, text: str) -> list[Mention]:
        """Mentions in order of position, none overlapping; `text` is the original wording."""
        folded = _fold(text)
        chinese = self._without_swallowed(folded, list(self._chinese(folded)))
        candidates = [*chinese, *self._english(folded), *self._short(text)]
        candidates.sort(key=lambda m: (m.start - m.end, m.start))
        taken: list[Mention] = []
        occupied = bytearray(len(text))

        def take(mentions: Iterable[Mention]) -> list[Mention]:
            """Those whose place is free; gives back the others."""
            blocked = []
            for mention in mentions:
                if any(occupied[mention.start : mention.end]):
                    blocked.append(mention)
                else:
                    occupied[mention.start : mention.end] = b"\x01" * (mention.end - mention.start)
                    taken.append(mention)
            return blocked

        blocked = take(candidates)
        take(self._shorter(folded, blocked, occupied))
        # What is written right always wins over what may have been meant.
        take(self._misspelt(folded))
        return sorted(taken, key=lambda m: m.start)

    def _shorter(
        self, text: str, blocked: Iterable[Mention], occupied: bytearray
    ) -> Iterator[Mention]:
        """Chinese terms that end before what blocks a longer one: 胸痛 of 胸痛放射(到左肩)."""
        for mention in blocked:
            end = occupied.find(1, mention.start, mention.end)
            if end > mention.start and text[mention.start] in self._zh.next:
                found = self._walk(text[:end], mention.start, self._zh, mention.start, 0, _MAX_GAP)
                if found is not None:
                    yield found

    def _misspelt(self, text: str) -> Iterator[Mention]:
        """Longest Chinese terms of three characters or more with one that looks alike."""
        alike = self._typos.alike
        for start in range(len(text)):
            right: _Node | None = self._zh
            wrong: list[_Node] = []
            best = None
            for at in range(start, len(text)):
                character = text[at]
                wrong = [n.next[character] for n in wrong if character in n.next]
                if right is not None:
                    meant = alike.get(character, "")
                    wrong += [right.next[c] for c in meant if c in right.next]
                    right = right.next.get(character)
                if right is None and not wrong:
                    break
                code = next((n.code for n in wrong if n.code is not None), None)
                if code is not None and at - start + 1 >= _LONG_ENOUGH:
                    best = Mention(code, start, at + 1, corrected=True)
            if best is not None:
                yield best

    def _without_swallowed(self, text: str, found: list[Mention]) -> list[Mention]:
        """Drop 无尿 in 无尿频: a term that begins with "not" gives way to one that goes on."""
        kept = []
        for mention in found:
            denied = max(
                (n for n in self._zh_negations if text.startswith(n, mention.start)),
                key=len,
                default="",
            )
            swallowed = denied and any(
                mention.start + len(denied) <= other.start < mention.end < other.end
                for other in found
            )
            if not swallowed:
                kept.append(mention)
        return kept

    def _short(self, text: str) -> Iterator[Mention]:
        if self._abbreviations:
            for match in self._abbreviation.finditer(text):
                yield Mention(self._abbreviations[match.group()], match.start(), match.end())

    def _chinese(self, text: str) -> Iterator[Mention]:
        for start in range(len(text)):
            if text[start] in self._zh.next:
                best = self._walk(text, start, self._zh, start, 0, _MAX_GAP)
                if best is not None:
                    yield best

    def _walk(
        self, text: str, start: int, node: _Node, at: int, negations: int, gap: int
    ) -> Mention | None:
        best = None
        if node.code is not None and self._whole(text, start, at):
            best = Mention(node.code, start, at, negations)
        if at < len(text):
            child = node.next.get(text[at])
            if child is not None:
                longer = self._walk(text, start, child, at + 1, negations, gap)
                if longer is not None and (best is None or longer.end > best.end):
                    best = longer
            if gap > 0 and at > start and node.next:
                skipped = self._skip(text, start, node, at, negations, gap)
                if skipped is not None and (best is None or skipped.end > best.end):
                    best = skipped
        return best

    def _skip(
        self, text: str, start: int, node: _Node, at: int, negations: int, gap: int
    ) -> Mention | None:
        """The term that goes on behind the longest small word that stands here."""
        for end in range(min(at + self._longest, at + gap, len(text)), at, -1):
            word = text[at:end]
            denied = word in self._zh_negations
            if denied or word in self._zh_fillers:
                found = self._walk(text, start, node, end, negations + denied, gap - (end - at))
                # A term never ends on a small word: 胸痛(没有) is no denial of 胸痛.
                if found is not None and found.end > end:
                    return found
        return None

    @staticmethod
    def _whole(text: str, start: int, end: int) -> bool:
        """A term that begins or ends in Latin letters must not cut a word in two."""
        left = start > 0 and text[start].isascii() and text[start].isalnum()
        right = end < len(text) and text[end - 1].isascii() and text[end - 1].isalnum()
        return not (
            (left and text[start - 1].isascii() and text[start - 1].isalnum())
            or (right and text[end].isascii() and text[end].isalnum())
        )

    def _english(self, text: str) -> Iterator[Mention]:
        if not any("a" <= c <= "z" for c in text):
            return
        tokens = words_meant(text, self._en_unstemmed)
        for first, token in enumerate(tokens):
            if token.stem in self._en.next:
                found = self._follow(text, tokens, first, self._en, first, _MAX_GAP)
                if found is not None:
                    code, last = found
                    corrected = any(t.corrected for t in tokens[first : last + 1])
                    if not (first == last and corrected and is_short(token.word)):
                        yield Mention(code, token.start, tokens[last].end, corrected=corrected)

    def _follow(
        self, text: str, tokens: list[Word], first: int, node: _Node, at: int, gap: int
    ) -> tuple[str, int] | None:
        """The longest term from token `first` on: its code and its last token's number."""
        best = None if node.code is None else (node.code, at - 1)
        if at == len(tokens) or (
            at > first and not adjacent(text, tokens[at - 1].end, tokens[at].start)
        ):
            return best
        child = node.next.get(tokens[at].stem)
        if child is not None:
            best = self._follow(text, tokens, first, child, at + 1, gap) or best
        if at > first and gap > 0 and node.next and tokens[at].word in self._en_small:
            skipped = self._follow(text, tokens, first, node, at + 1, gap - 1)
            # Skipping never ends a term on a small word that it does not hold.
            if skipped is not None and (best is None or skipped[1] > best[1]):
                ends = skipped[1] > at or tokens[skipped[1]].word not in self._en_small
                best = skipped if ends else best
        return best


@lru_cache(maxsize=1)
def matcher() -> Matcher:
    """The matcher over the shipped lexicon, built once."""
    return Matcher(lexicon())
