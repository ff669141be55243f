"""The words of a phrase by kind: body site, sensation, side, small word, "not", and what ends it.

Chinese characters and English stems are read by two tries into one line of tokens, so that mixed
phrases read too. Knows nothing of how tokens make a phrase: that is `phrases.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from knowledge_base.lexicon.context import cues
from knowledge_base.lexicon.grammar import Grammar
from models.text.durations import Duration
from models.text.normalise import is_cjk, normalise
from models.text.words import adjacent, words, words_meant

SIDE, SITE, LINK, FILLER, NEGATION, PREPOSITION, COMMA, BREAK = "SPLFNICX"
FELT_ZH, FELT_EN = "Ee"


@dataclass(slots=True)
class _Node:
    next: dict[str, _Node] = field(default_factory=dict)
    kind: str = ""
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a phrase; `codes` of a site, a side or the sensations of one form."""

    kind: str
    codes: tuple[str, ...]
    start: int
    end: int


def _insert(root: _Node, symbols: Iterable[str], kind: str, code: str = "") -> None:
    """Later kinds win over earlier ones; two sensations of one form are both kept."""
    node = root
    for symbol in symbols:
        node = node.next.setdefault(symbol, _Node())
    if node.kind != kind:
        node.kind, node.codes = kind, ()
    if code and (not node.codes or kind in (FELT_ZH, FELT_EN)):
        node.codes = (*node.codes, code)


class PhraseWords:
    """Built once from a grammar; `read` is pure and thread-safe."""

    def __init__(self, rules: Grammar) -> None:
        self._grammar = rules
        self._zh, self._en = _Node(), _Node()
        self._unstemmed = self._small_words()
        self._add_language("zh", FELT_ZH)
        self._add_language("en", FELT_EN)

    def _small_words(self) -> frozenset[str]:
        en, own = cues()["en"], self._grammar.words["en"]
        listed: list[Iterable[str]] = [en.fillers, en.modifiers, en.exact, en.ongoing]
        listed += [own.fillers, own.links, own.prepositions, own.negations]
        listed += [own.left, own.right, own.both]
        return frozenset(
            word for phrases in listed for phrase in phrases for word in phrase.split()
        )

    def _add_language(self, language: str, felt: str) -> None:
        general, own = cues()[language], self._grammar.words[language]
        severity = general.severity
        small = [general.fillers, general.modifiers, own.fillers, general.ongoing]
        small += [severity.severe, severity.moderate, severity.mild]
        small += [general.sudden, general.worsening]
        plain: list[tuple[str, Iterable[str]]] = [(FILLER, names) for names in small]
        plain += [(NEGATION, own.negations), (PREPOSITION, own.prepositions), (LINK, own.links)]
        apparent = [word for word in general.pseudo_negation if word not in own.fillers]
        plain += [(BREAK, apparent), (BREAK, general.question)]
        for kind, names in plain:
            for name in names:
                self._add(language, name, kind)
        for sensation in self._grammar.sensations.values():
            for name in getattr(sensation, language):
                self._add(language, name, felt, sensation.code)
        for site in self._grammar.sites.values():
            for name in getattr(site, language):
                self._add(language, name, SITE, site.code)
        for side in ("left", "right", "both"):
            for name in getattr(own, side):
                self._add(language, name, SIDE, side)
        for lookalikes in self._grammar.lookalikes:
            for name in getattr(lookalikes, language):
                self._add(language, name, BREAK)

    def _add(self, language: str, name: str, kind: str, code: str = "") -> None:
        if language == "zh":
            _insert(self._zh, _fold(name), kind, code)
        else:
            stems = [w.stem for w in words(normalise(name), self._unstemmed)]
            if stems:
                _insert(self._en, stems, kind, code)

    def read(self, text: str, durations: Sequence[Duration]) -> list[Token]:
        """Kinds of the words of a text, longest first; a duration is a small word."""
        found = [*self._chinese(_fold(text), durations), *self._english(text, durations)]
        return sorted(found, key=lambda t: t.start)

    def _chinese(self, text: str, durations: Sequence[Duration]) -> Iterator[Token]:
        spans = {d.start: d.end for d in durations}
        at = 0
        while at < len(text):
            character = text[at]
            if at in spans:
                yield Token(FILLER, (), at, spans[at])
                at = spans[at]
            elif character in ",/":
                yield Token(COMMA, (), at, at + 1)
                at += 1
            elif not (is_cjk(character) or character == "、"):
                # English words speak for themselves; any other mark ends a phrase.
                if character not in " '-" and not "a" <= character <= "z":
                    yield Token(BREAK, (), at, at + 1)
                at += 1
            else:
                token = self._longest(text, at)
                yield token
                at = token.end

    def _longest(self, text: str, start: int) -> Token:
        node, best = self._zh, Token(BREAK, (), start, start + 1)
        for at in range(start, len(text)):
            child = node.next.get(text[at])
            if child is None:
                break
            node = child
            if node.kind:
                best = Token(node.kind, node.codes, start, at + 1)
        return best

    def _english(self, text: str, durations: Sequence[Duration]) -> Iterator[Token]:
        spans = [(d.start, d.end) for d in durations]
        found = [
            w
            for w in words_meant(text, self._unstemmed)
            if not any(start <= w.start < end for start, end in spans)
        ]
        at = 0
        while at < len(found):
            node, last, best = self._en, at, Token(BREAK, (), found[at].start, found[at].end)
            for number in range(at, len(found)):
                child = node.next.get(found[number].stem)
                if child is None or (
                    number > at and not adjacent(text, found[number - 1].end, found[number].start)
                ):
                    break
                node = child
                if node.kind:
                    best = Token(node.kind, node.codes, found[at].start, found[number].end)
                    last = number
            yield best
            at = last + 1


def _fold(text: str) -> str:
    """Normalised, with the two everyday words for pain as one: 疼 is 痛."""
    return normalise(text).replace("疼", "痛")
