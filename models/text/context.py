"""What a mention means where it stands: status, time, whose it is, how bad.

Rules over scopes, after NegEx and ConText (Chapman 2001, Harkema 2009), with scopes of
their own for Chinese, where a "not" binds to what directly follows it and lists run over 、.
When in doubt a finding stays present: a missed emergency costs more than a question.
"""

from __future__ import annotations

import re
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
        self.sentence_end = re.compile(r"[。!?;\n]|\.(?!\d)")
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


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return end


def _mask(text: str, mentions: Sequence[Mention], pseudo: re.Pattern[str]) -> str:
    characters = list(text)
    for mention in mentions:
        characters[mention.start : mention.end] = _MENTION * (mention.end - mention.start)
    masked = "".join(characters)
    return pseudo.sub(lambda m: _PSEUDO * len(m.group()), masked)


class ContextReader:
    """Reads the context of every mention of one normalised text."""

    def __init__(self, text: str, mentions: Sequence[Mention], language: str) -> None:
        self._text = text
        self._mentions = mentions
        self._cues = _patterns("zh" if language == "zh" else "en")
        self._masked = _mask(text, mentions, self._cues.pseudo)

    def read(self, mention: Mention) -> Context:
        """The context of one of the mentions."""
        cues_ = self._cues
        sentence = self._sentence(mention)
        before = self._masked[: mention.start]
        left = before[_last_end(cues_.terminator, before) :]
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
        start = _last_end(self._cues.sentence_end, self._masked[: mention.start])
        found = self._cues.sentence_end.search(self._masked, mention.end)
        return start, found.start() if found else len(self._masked)

    def _clause(self, mention: Mention, sentence: tuple[int, int]) -> str:
        start = max(sentence[0], self._text.rfind(",", 0, mention.start) + 1)
        comma = self._text.find(",", mention.end)
        end = sentence[1] if comma < 0 else min(comma, sentence[1])
        return self._text[start:end]

    def _status(self, mention: Mention, left: str, right: str, sentence: tuple[int, int]) -> Status:
        negated = mention.negations % 2 == 1
        if mention.negations > 0 and not negated:
            return "present"
        if self._cues.language == "zh":
            plain = self._text[mention.start - len(left) : mention.start]
            if self._cues.doubted_zh.search(plain) or self._cues.question.search(plain):
                return "unknown"
            found = self._cues.negated_zh.search(left)
            if found:
                negated = negated != (found.group("double") is None)
            elif self._cues.denied_after_zh.search(right):
                negated = True
        else:
            if self._cues.unknown.search(left) or self._cues.question.search(left):
                return "unknown"
            negated = self._negated_en(left, sentence) or bool(
                self._cues.denied_after_en.search(right)
            )
        return "absent" if negated else "present"

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
        past = self._cues.past.search(left) or (
            self._cues.language == "zh" and _YEARS_AGO_ZH.search(left)
        )
        return "past" if past and not self._cues.ongoing.search(clause) else "now"

    def _experiencer(self, mention: Mention) -> Experiencer:
        """Who was named last before the mention; a family cue holds for its sentence only."""
        end, nearest = -1, "self"
        for pattern, who in self._cues.people:
            # A family cue may reach into the mention: 家里人有(糖尿病) beside (有糖尿病).
            reach = mention.end if who == "family" else mention.start
            for match in pattern.finditer(self._text[:reach]):
                if match.start() < mention.start and match.end() > end:
                    end, nearest = match.end(), who
        if nearest == "family" and self._cues.sentence_end.search(self._text, end, mention.start):
            return "self"
        return nearest  # type: ignore[return-value]

    def _severity(self, mention: Mention, clause: str) -> Severity | None:
        # Words inside the mention count too: 肚子(特别)痛.
        inside = clause + " " + self._text[mention.start : mention.end]
        for pattern, grade in self._cues.severity:
            if pattern.search(inside):
                return grade
        return None
