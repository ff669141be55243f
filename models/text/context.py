"""What a mention means where it stands: status, time, whose it is, how bad.

Rules over scopes, after NegEx and ConText (Chapman 2001, Harkema 2009), with scopes of
their own for Chinese, where a "not" binds to what directly follows it and lists run over 、.
When in doubt a finding stays present: a missed emergency costs more than a question.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from knowledge_base.lexicon.context import Cues, cues
from knowledge_base.rules.facts import Severity, Status
from models.text.matcher import Mention

Experiencer = Literal["self", "relative", "family"]
Temporality = Literal["now", "past"]

_MENTION, _PSEUDO = "\x01", "\x02"
_PAST_REACH = {"zh": 6, "en": 4}
"""Characters or words that may stand between a past cue and what it makes past."""
SENTENCE_END = re.compile(r"[。!?;\n]|\.(?!\d)")
"""What ends a sentence in normalised text; the point of a number does not."""
_YEARS_AGO_ZH = re.compile(r"(?:\d+|[一二两三四五六七八九十几多]+)年(?:多)?(?:以)?前")


@dataclass(frozen=True)
class Context:
    """The reading of one mention."""

    status: Status
    temporality: Temporality
    experiencer: Experiencer
    severity: Severity | None
    sudden: bool
    worsening: bool


def _alternatives(words: Iterable[str], *, whole: bool) -> str:
    listed = "|".join(re.escape(w) for w in sorted(set(words), key=len, reverse=True))
    return rf"(?<![a-z0-9'])(?:{listed})(?![a-z0-9'])" if whole else f"(?:{listed})"


class _Patterns:
    """Compiled cue lists of one language."""

    def __init__(self, language: str, words: Cues) -> None:
        self.language = language
        whole = language == "en"

        def pattern(listed: Iterable[str]) -> re.Pattern[str]:
            return re.compile(_alternatives(listed, whole=whole))

        self.pseudo = pattern(words.pseudo_negation)
        self.negation = pattern(words.negation)
        self.question = pattern(words.question)
        self.worry = pattern(words.worry)
        self.past = pattern(words.past)
        self.ongoing = pattern(words.ongoing)
        self.sudden = pattern(words.sudden)
        self.worsening = pattern(words.worsening)
        self.list_negation = pattern(words.list_negation) if words.list_negation else None
        self.people = [
            (pattern(words.family), "family"),
            (pattern(words.relatives), "relative"),
            (pattern(words.first_person), "self"),
        ]
        self.severity = [
            (pattern(words.severity.severe), Severity.severe),
            (pattern(words.severity.moderate), Severity.moderate),
            (pattern(words.severity.mild), Severity.mild),
        ]
        words_only = [w for w in words.terminators if w[0].isalnum()]
        marks = "".join(re.escape(w) for w in words.terminators if len(w) == 1 and w not in "./")
        self.terminator = re.compile(
            rf"[{marks}]|\.(?!\d)|" + _alternatives(words_only, whole=whole)
        )
        bridge = _alternatives((*words.negation_bridge, " "), whole=False)
        lists = _alternatives((*words.list_marks, *words.negation), whole=False)
        negation = _alternatives(words.negation, whole=False)
        self.negated_zh = re.compile(
            rf"(?P<double>不是|并非|不能说)?(?:{negation})"
            rf"(?:{bridge}|{_MENTION}+(?:{bridge})*(?:{lists})(?:{bridge})*)*$"
        )
        self.doubted_zh = re.compile(
            rf"(?:{_alternatives(words.unknown, whole=False)})(?:{bridge}|的|可能|有|就)*$"
        )
        self.unknown = pattern(words.unknown)
        post = words.post_negation
        weak = [w for w in post if w == "没有"]
        strong = [w for w in post if w != "没有"]
        self.denied_after_zh = re.compile(
            rf"^(?:的)?(?:症状|情况|现象)?(?:{_alternatives(strong, whole=False)}"
            + (r"|没有(?:了|过)?(?=[,。.;!\n、]|$))" if weak else ")")
        )
        self.denied_after_en = re.compile(
            rf"^\s*(?:(?:is|was|has|have|been|now|:)\s*)*{_alternatives(post, whole=True)}"
        )
        self.or_en = re.compile(r"(?<![a-z])(?:or|nor)(?![a-z])")


@lru_cache(maxsize=2)
def _patterns(language: str) -> _Patterns:
    return _Patterns(language, cues()[language])


def _last_at_most(positions: Sequence[int], limit: int, default: int) -> int:
    """The last of sorted positions that is at most `limit`."""
    number = bisect_right(positions, limit)
    return positions[number - 1] if number else default


def _mask(text: str, mentions: Sequence[Mention], pseudo: re.Pattern[str]) -> str:
    characters = list(text)
    for mention in mentions:
        characters[mention.start : mention.end] = _MENTION * (mention.end - mention.start)
    masked = "".join(characters)
    return pseudo.sub(lambda m: _PSEUDO * len(m.group()), masked)


class ContextReader:
    """Reads the context of every mention of one normalised text."""

    def __init__(
        self,
        text: str,
        mentions: Sequence[Mention],
        language: str,
        diseases: frozenset[str] = frozenset(),
    ) -> None:
        """`diseases` are codes that a worry makes unknown; a feared symptom is still there."""
        cues_ = self._cues = _patterns("zh" if language == "zh" else "en")
        self._text = text
        self._mentions = mentions
        self._diseases = diseases
        self._masked = masked = _mask(text, mentions, cues_.pseudo)
        # Found once: a long text has many mentions, and each asks for what stands around it.
        self._terminators = [m.end() for m in cues_.terminator.finditer(masked)]
        self._sentences = [m.span() for m in SENTENCE_END.finditer(masked)]
        self._commas = [i for i, c in enumerate(text) if c == ","]
        self._people = {
            who: [m.span() for m in pattern.finditer(text)] for pattern, who in cues_.people
        }

    def read(self, mention: Mention) -> Context:
        """The context of one of the mentions."""
        cues_ = self._cues
        sentence = self._sentence(mention)
        scope = _last_at_most(self._terminators, mention.start, 0)
        left = self._masked[scope : mention.start]
        right = self._masked[mention.end : sentence[1]]
        clause = self._clause(mention, sentence)
        return Context(
            status=self._status(mention, left, right, sentence),
            temporality=self._temporality(left, clause),
            experiencer=self._experiencer(mention),
            severity=self._severity(mention, clause),
            sudden=bool(cues_.sudden.search(clause)),
            worsening=bool(cues_.worsening.search(clause)),
        )

    def _sentence(self, mention: Mention) -> tuple[int, int]:
        number = bisect_right(self._sentences, (mention.start, -1))
        before = [end for _, end in self._sentences[:number][-1:] if end <= mention.start]
        after = bisect_left(self._sentences, (mention.end, -1))
        end = self._sentences[after][0] if after < len(self._sentences) else len(self._masked)
        return before[0] if before else 0, end

    def _clause(self, mention: Mention, sentence: tuple[int, int]) -> str:
        start = max(sentence[0], _last_at_most(self._commas, mention.start - 1, -1) + 1)
        after = bisect_left(self._commas, mention.end)
        end = sentence[1]
        if after < len(self._commas):
            end = min(self._commas[after], end)
        return self._text[start:end]

    def _status(self, mention: Mention, left: str, right: str, sentence: tuple[int, int]) -> Status:
        negated = mention.negations % 2 == 1
        if mention.negations > 0 and not negated:
            return "present"
        plain = self._text[mention.start - len(left) : mention.start]
        if self._cues.language == "zh":
            if self._cues.doubted_zh.search(plain) or self._asked(mention, plain):
                return "unknown"
            found = self._cues.negated_zh.search(left)
            if found:
                negated = negated != (found.group("double") is None)
            elif self._cues.denied_after_zh.search(right):
                negated = True
        else:
            if self._cues.unknown.search(plain) or self._asked(mention, plain):
                return "unknown"
            negated = self._negated_en(left, sentence) or bool(
                self._cues.denied_after_en.search(right)
            )
        return "absent" if negated else "present"

    def _asked(self, mention: Mention, left: str) -> bool:
        """Whether the mention is a question, or a disease that is feared."""
        if self._cues.question.search(left):
            return True
        return mention.code in self._diseases and bool(self._cues.worry.search(left))

    def _negated_en(self, left: str, sentence: tuple[int, int]) -> bool:
        found = list(self._cues.negation.finditer(left))
        if not found:
            return False
        gap = left[found[-1].end() :]
        if _PSEUDO in gap:
            return False
        if "," in gap:
            lists = self._cues.list_negation
            listed = lists is not None and lists.fullmatch(found[-1].group())
            severe = self._cues.severity[0][0].search(gap[gap.rfind(",") :])
            rest = self._text[sentence[0] : sentence[1]]
            return not severe and bool(listed or self._cues.or_en.search(rest))
        return len(gap.replace(_MENTION, "").split()) <= 6

    def _temporality(self, left: str, clause: str) -> Temporality:
        """Past only where a cue stands close before, in the same part of the sentence.

        A list may stand between (history of A and B); a comma or other words may not: in
        "previously healthy, crushing chest pain" the pain is now.
        """
        part = left[left.rfind(",") + 1 :]
        ends = [m.end() for m in self._cues.past.finditer(part)]
        if self._cues.language == "zh":
            ends += [m.end() for m in _YEARS_AGO_ZH.finditer(part)]
        if not ends or self._cues.ongoing.search(clause):
            return "now"
        between = part[max(ends) :].replace(_MENTION, "")
        words = len(between) if self._cues.language == "zh" else len(between.split())
        return "past" if words <= _PAST_REACH[self._cues.language] else "now"

    def _experiencer(self, mention: Mention) -> Experiencer:
        """Who was named last before the mention; a family cue holds for its sentence only."""
        end, nearest = -1, "self"
        for who, spans in self._people.items():
            # A family cue may reach into the mention: 家里人有(糖尿病) beside (有糖尿病).
            reach = mention.end if who == "family" else mention.start
            for number in range(bisect_left(spans, (mention.start, 0)) - 1, -1, -1):
                if spans[number][1] <= reach:
                    if spans[number][1] > end:
                        end, nearest = spans[number][1], who
                    break
        if nearest == "family" and any(
            end <= start < mention.start for start, _ in self._sentences
        ):
            return "self"
        return nearest  # type: ignore[return-value]

    def _severity(self, mention: Mention, clause: str) -> Severity | None:
        # Words inside the mention count too: 肚子(特别)痛.
        inside = clause + " " + self._text[mention.start : mention.end]
        for pattern, grade in self._cues.severity:
            if pattern.search(inside):
                return grade
        return None
