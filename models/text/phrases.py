"""Findings by grammar: a body site and a sensation in one phrase ("left knee a bit swollen").

Chinese and English words become kinds (site, side, sensation, small word, …), and one pattern over
the kinds says what a phrase is, so mixed phrases read too. What the lexicon lists keeps its code;
a phrase adds the site, the side and the findings that nobody listed. Knows nothing of context.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.lexicon.grammar import Grammar, Side, grammar
from models.text.durations import Duration
from models.text.matcher import Mention
from models.text.phrase_words import (
    COMMA,
    FELT_EN,
    FELT_ZH,
    LINK,
    NEGATION,
    SIDE,
    SITE,
    PhraseWords,
    Token,
)

_PLACE = r"(?:SF{0,2})?P(?:F?S(?!F{0,2}P))?"
_PLACES = rf"(?:{_PLACE}(?:C{_PLACE}){{0,4}}F{{0,2}}L?F{{0,3}}){{0,4}}{_PLACE}"
_PHRASE = re.compile(
    # 左边膝盖这几天有点肿, 头和脖子都疼, my left knee is swollen, my face droops on the left
    rf"(?P<places>{_PLACES})"
    r"(?:C(?=F{1,9}E))?(?P<felt>[FN]{0,9}[Ee](?:[FL]{0,3}N?F{0,2}[Ee](?!F{0,2}I)){0,3})"
    r"(?P<on_side>I{1,2}F{0,2}S(?!F{0,2}P))?"
    # pain in my knees and ankles, swollen left knee
    rf"|(?P<felt_first>e(?:[FLC]{{0,3}}e){{0,3}})F{{0,3}}"
    rf"(?:I{{1,2}}F{{0,4}}(?P<in>{_PLACES})|(?P<of>{_PLACES})(?![FN]{{0,5}}[Ee]))"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """A site, the tissue that was named beside it, its side and where they stand."""

    site: str
    tissue: str | None
    side: Side | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Felt:
    codes: tuple[str, ...]
    negations: int
    start: int
    end: int
    linked: bool = False


class PhraseReader:
    """Built once from a grammar and a lexicon; `extend` is pure and thread-safe."""

    def __init__(self, terms: Lexicon, rules: Grammar | None = None) -> None:
        self._terms = terms
        self._grammar = rules or grammar()
        self._words = PhraseWords(self._grammar)

    def extend(
        self, text: str, mentions: Sequence[Mention], durations: Sequence[Duration]
    ) -> list[Mention]:
        """The mentions of normalised `text` with those that its phrases add, in order.

        A mention inside a phrase gets its site and side; one that only names the sensation gives
        way to the finding at the site; every other listed mention stays as it is.
        """
        tokens = self._words.read(text, durations)
        kinds = "".join(token.kind for token in tokens)
        starts = [m.start for m in mentions]
        added: list[Mention] = []
        used: set[Mention] = set()
        for match in _PHRASE.finditer(kinds):
            first, last = tokens[match.start()].start, tokens[match.end() - 1].end
            # Listed mentions do not overlap, so at most one reaches in from the left.
            low = max(0, bisect_left(starts, first) - 1)
            near = [m for m in mentions[low : bisect_left(starts, last)] if m.end > first]
            added += self._read(tokens, match, near, used)
        return sorted(
            [*(m for m in mentions if m not in used), *added], key=lambda m: (m.start, m.end)
        )

    def _read(
        self,
        tokens: Sequence[Token],
        match: re.Match[str],
        near: Sequence[Mention],
        used: set[Mention],
    ) -> Iterable[Mention]:
        """The findings of one phrase; the listed mentions that they stand for go to `used`."""
        named = "places" if match["places"] else "in" if match["in"] else "of"
        places = self._places(tokens[slice(*match.span(named))])
        felt = _felt(tokens[slice(*match.span("felt" if match["felt"] else "felt_first"))])
        if match["felt"]:
            felt = [f for f in felt if not (f.linked and self._is_apart(f))]
        start = min(places[0].start, felt[0].start)
        end = max(places[-1].end, felt[-1].end)
        if match["on_side"]:
            side = tokens[match.end("on_side") - 1]
            end = side.end
            places = [replace(p, side=p.side or _side(side)) for p in places]
        whole = self._grammar.one_side_of_body([(p.site, p.side) for p in places])
        made: dict[tuple[str, str], Mention] = {}
        for sensation in felt:
            about = [m for m in near if _overlap(m, sensation)]
            # 头和(脖子疼): what is listed of one site says nothing of the other.
            bare = [m for m in about if not any(_overlap(m, place) for place in places)]
            for place in places:
                here = [m for m in near if _overlap(m, place)]
                both = [m for m in about if m in here]
                code = self._code(sensation, place, whole)
                if both and both[0].negations % 2 == sensation.negations % 2:
                    found = replace(both[0], site=place.site, side=place.side)
                    if code is not None and found.code in self._terms.implied(code):
                        found = replace(found, code=code)
                    start, end = min(start, found.start), max(end, found.end)
                elif code is None or not self._is_free(here, felt, code, bare, sensation):
                    continue
                else:
                    found = Mention(code, start, end, sensation.negations, place.site, place.side)
                used.update(both)
                used.update(m for m in bare if self._says_no_more(m, found.code, sensation))
                made.setdefault((found.code, place.site), found)
        # Linked sites and sensations share one context, and so one span.
        return [replace(m, start=start, end=end) for m in made.values()]

    def _is_free(
        self,
        here: Sequence[Mention],
        felt: Sequence[_Felt],
        code: str,
        bare: Sequence[Mention],
        sensation: _Felt,
    ) -> bool:
        """Whether no listed finding says something else of the site or of the sensation."""
        of_phrase = all(any(_overlap(m, f) for f in felt) for m in here)
        return of_phrase and self._agrees(bare, code, sensation)

    def _is_apart(self, felt: _Felt) -> bool:
        return any(self._grammar.sensations[code].apart for code in felt.codes)

    def _agrees(self, listed: Sequence[Mention], code: str, felt: _Felt) -> bool:
        """Whether what is listed at the sensation is the sensation, and no other thing."""
        general = {self._grammar.sensations[c].concept for c in felt.codes} | {code}
        return all(
            self._says_no_more(m, code, felt) or general & self._terms.implied(m.code)
            for m in listed
        )

    def _says_no_more(self, listed: Mention, code: str, felt: _Felt) -> bool:
        """Whether a listed finding is said by the finding at the site, so that it may go."""
        sensations = [self._grammar.sensations[c] for c in felt.codes]
        general = {s.concept for s in sensations}.union(*(s.vague for s in sensations))
        return listed.code in general | {code, *self._terms.implied(code)}

    def _code(self, felt: _Felt, place: _Place, whole: str | None) -> str | None:
        """The finding of the first reading of a sensation that has one at the place.

        `whole`: the site that the phrase's sites make together; it and a tissue come first.
        """
        closer = [site for site in (whole, place.tissue, place.site) if site is not None]
        readings = [(sensation, site) for site in closer for sensation in felt.codes]
        defaults = []
        for sensation, site in readings:
            code = self._grammar.listed(sensation, site, place.side)
            if code is None or code not in self._terms:
                continue
            if code != self._grammar.sensations[sensation].concept:
                return code
            defaults.append(code)
        return defaults[0] if defaults else None

    def _places(self, tokens: Sequence[Token]) -> list[_Place]:
        """The sites of a phrase; a part named after its whole (left hand, thumb) is one site."""
        found: list[_Place] = []
        side: tuple[Side, int] | None = None
        linked = True
        for token in tokens:
            if token.kind == SIDE:
                if found and found[-1].side is None and not linked and token is tokens[-1]:
                    found[-1] = replace(found[-1], side=_side(token), end=token.end)
                else:
                    side = _side(token), token.start
            elif token.kind in (LINK, COMMA):
                linked = True
            elif token.kind == SITE:
                start = side[1] if side else token.start
                place = _Place(token.codes[0], None, side[0] if side else None, start, token.end)
                if found and place.side is None and self._grammar.sites[place.site].paired:
                    # "left arm and leg": the side of the first holds for the second.
                    place = replace(place, side=found[-1].side)
                merged = None if linked else self._merged(found[-1], place)
                if merged is not None:
                    found[-1] = merged
                else:
                    found.append(place)
                side, linked = None, False
        return found

    def _merged(self, whole: _Place, part: _Place) -> _Place | None:
        """One place out of two that stand side by side, where one names the other more closely."""
        sites = self._grammar.sites
        side = part.side or whole.side
        if sites[part.site].tissue:
            return replace(whole, tissue=part.site, side=side, end=part.end)
        if sites[whole.site].tissue or self._grammar.is_part(part.site, whole.site):
            tissue = whole.site if sites[whole.site].tissue else whole.tissue
            return replace(part, tissue=tissue, side=side, start=whole.start)
        return None


def _felt(tokens: Sequence[Token]) -> list[_Felt]:
    """The sensations of a phrase; a "not" carries over a link (不红和肿) and no further."""
    found: list[_Felt] = []
    negations, linked = 0, False
    for token in tokens:
        if token.kind == NEGATION:
            negations += 1
        elif token.kind == LINK:
            linked = True
        elif token.kind in (FELT_ZH, FELT_EN):
            if linked and not negations and found:
                negations = found[-1].negations
            found.append(_Felt(token.codes, negations, token.start, token.end, linked))
            negations, linked = 0, False
    return found


def _side(token: Token) -> Side:
    return cast(Side, token.codes[0])


def _overlap(mention: Mention, part: _Place | _Felt) -> bool:
    return mention.start < part.end and part.start < mention.end


@lru_cache(maxsize=1)
def phrase_reader() -> PhraseReader:
    """The reader of phrases over the shipped lexicon, built once."""
    return PhraseReader(lexicon())
