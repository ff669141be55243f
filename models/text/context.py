"""What a mention means where it stands: status, time, whose it is, how bad.

Rules over scopes, after NegEx and ConText (Chapman 2001, Harkema 2009), with scopes of
their own for Chinese, where a "not" binds to what directly follows it and lists run over 、.
When in doubt a finding stays present: a missed emergency costs more than a question.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from knowledge_base.lexicon.context import vaccine_prevented
from knowledge_base.rules.facts import Severity, Status
from models.text.cue_patterns import (
    MENTION,
    PSEUDO,
    Course,
    Onset,
    patterns_of,
)
from models.text.happening import has_come
from models.text.matcher import Mention
from models.text.past import is_past

Experiencer = Literal["self", "relative", "family"]
Temporality = Literal["now", "past"]

SENTENCE_END = re.compile(r"[。!?;\n]|\.(?!\d)")
"""What ends a sentence in normalised text; the point of a number does not."""
_SCORE = re.compile(
    r"(?<![\d.])(?P<n>\d{1,2})\s?(?:/|out of)\s?10(?!\d)"
    r"|(?:评分|nrs|vas|疼痛)\D{0,3}(?P<points>\d{1,2})(?:分(?!钟)|(?![\d.天周月年次小]))"
)


@dataclass(frozen=True)
class Context:
    """The reading of one mention."""

    status: Status
    temporality: Temporality
    experiencer: Experiencer
    severity: Severity | None
    onset: Onset | None
    course: Course | None


def _last_at_most(positions: Sequence[int], limit: int, default: int) -> int:
    """The last of sorted positions that is at most `limit`."""
    number = bisect_right(positions, limit)
    return positions[number - 1] if number else default


def _mask(text: str, mentions: Sequence[Mention], pseudo: re.Pattern[str]) -> str:
    characters = list(text)
    for mention in mentions:
        characters[mention.start : mention.end] = MENTION * (mention.end - mention.start)
    masked = "".join(characters)
    return pseudo.sub(lambda m: PSEUDO * len(m.group()), masked)


_REACH = 300
"""Characters beyond which nothing bears on a mention: a text without marks is no one sentence."""


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
        cues_ = self._cues = patterns_of("zh" if language == "zh" else "en")
        self._text = text
        self._mentions = mentions
        self._diseases = diseases
        self._masked = masked = _mask(text, mentions, cues_.pseudo)
        self._manners: dict[str, tuple[Onset | None, Course | None]] = {}
        self._starts = [m.start for m in mentions]
        # Spans may be shared and nested: how far anything up to a mention reaches.
        self._ends = list(accumulate((m.end for m in mentions), max))
        # Found once: a long text has many mentions, and each asks for what stands around it.
        self._terminators = [m.end() for m in cues_.terminator.finditer(masked)]
        self._sentences = [m.span() for m in SENTENCE_END.finditer(masked)]
        self._own_parts = [m.span() for m in cues_.own_part.finditer(text)]
        self._commas = [i for i, c in enumerate(text) if c == ","]
        self._people = {
            who: [m.span() for m in pattern.finditer(text)] for pattern, who in cues_.people
        }

    def read(self, mention: Mention) -> Context:
        """The context of one of the mentions."""
        sentence = self._sentence(mention)
        scope = _last_at_most(self._terminators, mention.start, 0)
        scope = max(scope, mention.start - _REACH)
        left = self._masked[scope : mention.start]
        right = self._masked[mention.end : sentence[1]]
        clause = self._clause(mention, sentence)
        return Context(
            status=self._status(mention, left, right, sentence),
            temporality="past" if is_past(self._cues, left, right, clause) else "now",
            experiencer=self._experiencer(mention),
            severity=self._severity(mention, sentence),
            onset=self._manner(clause)[0],
            course=self._manner(clause)[1],
        )

    def _sentence(self, mention: Mention) -> tuple[int, int]:
        number = bisect_right(self._sentences, (mention.start, -1))
        before = [end for _, end in self._sentences[:number][-1:] if end <= mention.start]
        after = bisect_left(self._sentences, (mention.end, -1))
        end = self._sentences[after][0] if after < len(self._sentences) else len(self._masked)
        start = before[0] if before else 0
        return max(start, mention.start - _REACH), min(end, mention.end + _REACH)

    def _clause(self, mention: Mention, sentence: tuple[int, int]) -> str:
        start, end = self._clause_span(mention, sentence)
        return self._text[start:end]

    def _clause_span(self, mention: Mention, sentence: tuple[int, int]) -> tuple[int, int]:
        start = max(sentence[0], _last_at_most(self._commas, mention.start - 1, -1) + 1)
        after = bisect_left(self._commas, mention.end)
        end = sentence[1]
        if after < len(self._commas):
            end = min(self._commas[after], end)
        return start, end

    def _status(self, mention: Mention, left: str, right: str, sentence: tuple[int, int]) -> Status:
        negated = mention.negations % 2 == 1
        if self._cues.nobody.search(self._masked, sentence[0], mention.start):
            return "present" if negated else "absent"
        if mention.negations > 0 and not negated:
            return "present"
        if self._of_another(mention, sentence) or self._is_vaccine(mention, sentence):
            return "unknown"
        if negated and self._cues.doubled.search(left):
            return "present"
        plain = self._text[mention.start - len(left) : mention.start]
        if self._cues.language == "zh":
            if self._cues.doubted_zh.search(plain) or self._asked(mention, plain, sentence):
                return "unknown"
            found = self._cues.negated_zh.search(left)
            if found:
                negated = negated != (found.group("double") is None)
            elif self._cues.listed_zh.search(left) and self._cues.list_ends_zh.match(right):
                # 无呕血黑便: clinical shorthand lists findings without marks.
                negated = True
            elif self._cues.denied_after_zh.search(right):
                negated = True
            else:
                negated = negated or self._answered_no(plain, right)
        else:
            if self._cues.unknown.search(plain) or self._asked(mention, plain, sentence):
                return "unknown"
            negated = (
                negated
                or self._negated_en(left, sentence)
                or bool(self._cues.denied_after_en.search(right))
                or self._answered_no(plain, right)
            )
        return "absent" if negated else "present"

    def _of_another(self, mention: Mention, sentence: tuple[int, int]) -> bool:
        """Whether this is told of a story's person or an animal, or only supposed.

        Only where another part of the text speaks of the patient: who writes of nothing but an
        unconscious stranger writes of an emergency.
        """
        start, end = self._clause_span(mention, sentence)
        left = self._text[start : mention.start]
        if self._cues.fiction.search(left):
            return not any(
                start <= s < end for who in ("self", "relative") for s, _ in self._people[who]
            )
        if self._cues.supposed.search(left):
            return True
        if (
            mention.code in self._diseases
            and self._cues.acquaintances.search(left)
            and self._is_for_oneself(mention, self._text[slice(*sentence)])
        ):
            return True
        found = list(self._cues.others.finditer(left))
        if not found or self._cues.harms.search(self._text, start, end):
            return False
        first = start + found[-1].end()
        if any(first <= s < end for who in ("self", "relative") for s, _ in self._people[who]):
            return False
        elsewhere = any(m.end <= start or end <= m.start for m in self._mentions)
        return elsewhere or any(last <= start or end <= first for first, last in self._own_parts)

    def _is_for_oneself(self, mention: Mention, sentence: str) -> bool:
        """Whether an acquaintance's illness, which is not of now, is why somebody asks."""
        if self._cues.at_once.search(sentence):
            return False
        if self._cues.own_check.search(sentence):
            return True
        return bool(self._cues.for_oneself.search(sentence)) and not has_come(
            self._text, mention.start, mention.end, self._cues.language
        )

    def _asked(self, mention: Mention, left: str, sentence: tuple[int, int]) -> bool:
        """Whether the mention is a question, or a disease that is feared."""
        if self._cues.question.search(left):
            return True
        return mention.code in self._diseases and (
            bool(self._cues.worry.search(left)) or self._is_about(mention, sentence)
        )

    def _is_about(self, mention: Mention, sentence: tuple[int, int]) -> bool:
        """Whether something is asked of a disease that nobody is said to have."""
        start, _ = self._clause_span(mention, sentence)
        left = self._text[start : mention.start]
        asked = self._cues.about_before.search(left) or self._cues.about_after.match(
            self._text, mention.end
        )
        return bool(asked) and not self._cues.stated.search(left)

    def _answered_no(self, left: str, right: str) -> bool:
        """Whether the patient was asked about it and answered no; who asks has it ("I asked")."""
        asked = self._cues.asked_about.search(left)
        if asked is None or self._cues.first_person.search(left, 0, asked.start()):
            return False
        return bool(self._cues.answered_no.match(right))

    def _is_vaccine(self, mention: Mention, sentence: tuple[int, int]) -> bool:
        """Whether a disease is named for its vaccine: tetanus (up to date), 接种(乙肝)疫苗."""
        if mention.code not in vaccine_prevented():
            return False
        start, end = self._clause_span(mention, sentence)
        left, right = self._text[start : mention.start], self._text[mention.end : end]
        if self._cues.vaccine_before.search(left) or self._cues.vaccine_after.match(right):
            return True
        return mention.code in self._cues.named_for_shots and bool(
            self._cues.shot_before.search(left) or self._cues.shot_after.match(right)
        )

    def _negated_en(self, left: str, sentence: tuple[int, int]) -> bool:
        found = list(self._cues.negation.finditer(left))
        if not found:
            return False
        gap = left[found[-1].end() :]
        if PSEUDO in gap:
            return False
        if found[-1].group() == "without" and self._cues.new_subject_en.search(gap):
            return False
        if "," in gap:
            lists = self._cues.list_negation
            listed = lists is not None and lists.fullmatch(found[-1].group())
            severe = self._cues.severity[0][0].search(gap[gap.rfind(",") :])
            rest = self._text[sentence[0] : sentence[1]]
            return not severe and bool(listed or self._cues.or_en.search(rest))
        return len(gap.replace(MENTION, "").split()) <= 6

    def _experiencer(self, mention: Mention) -> Experiencer:
        """Who was named last before the mention; a family cue holds for its sentence only."""
        if self._cues.family_after.match(self._text, mention.end):
            return "family"
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

    def _manner(self, clause: str) -> tuple[Onset | None, Course | None]:
        """How what a clause tells began and goes on; found once for all of its mentions."""
        if clause not in self._manners:
            onset = next((o for cue, o in self._cues.onsets if cue.search(clause)), None)
            self._manners[clause] = onset, self._course(clause)
        return self._manners[clause]

    def _course(self, clause: str) -> Course | None:
        """How it goes on; what only looks like a cue ("not getting better") is none."""
        apparent = [m.span() for m in self._cues.pseudo.finditer(clause)]
        for cue, course in self._cues.courses:
            for match in cue.finditer(clause):
                if course != "improving" or not any(
                    start <= match.start() < end for start, end in apparent
                ):
                    return course
        return None

    def _severity(self, mention: Mention, sentence: tuple[int, int]) -> Severity | None:
        """The grade said of this finding, in words or from 0 to 10."""
        start, end = self._clause_span(mention, sentence)
        if self._cues.language == "en":
            start, end = self._noun_group(mention, start, end)
        # Words inside the mention count too: 肚子(特别)痛.
        clause = self._text[start:end]
        for pattern, grade in self._cues.severity:
            if pattern.search(clause):
                return grade
        score = _SCORE.search(clause)
        return _grade(int(score["n"] or score["points"])) if score else None

    def _noun_group(self, mention: Mention, start: int, end: int) -> tuple[int, int]:
        """An English adjective belongs to its own finding: "severe pain and bleeding"."""
        number = bisect_left(self._starts, mention.start)
        if number > 0:
            start = max(start, self._ends[number - 1])
        after = bisect_right(self._starts, mention.start)
        if after < len(self._starts):
            end = min(end, max(self._starts[after], mention.end))
        return min(start, mention.start), end


def _grade(score: int) -> Severity | None:
    """A pain score as mild 1-3, moderate 4-6, severe 7-10, as the numeric rating scale is read."""
    if not 1 <= score <= 10:
        return None
    return Severity.mild if score <= 3 else Severity.moderate if score <= 6 else Severity.severe
