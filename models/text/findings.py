"""Findings extraction: from a patient's words to coded findings, each with its span.

Matching, context, durations and values come together here. The result keeps the original
text: every span points into it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from knowledge_base.lexicon.findings import HISTORY, Lexicon, lexicon
from knowledge_base.lexicon.grammar import Side
from knowledge_base.rules.facts import Severity, Sex, Status
from models.text.age_sex import find_ages_years, find_sex
from models.text.context import SENTENCE_END, ContextReader, Experiencer, Temporality
from models.text.contrast import elsewhere
from models.text.crisis import crisis_reader
from models.text.cue_patterns import Course, Onset
from models.text.durations import Duration, find_durations
from models.text.happening import is_happening
from models.text.matcher import Matcher, Mention, matcher
from models.text.normalise import Letters, normalise, visible, with_case
from models.text.phrases import PhraseReader, phrase_reader
from models.text.typos import typos
from models.text.values import Value, find_values

_REACH = 200
_GOES_ON = re.compile(
    r"[^.。!?;\n]{0,20}[.。!;]\s*(?:(?:it|this)(?: has|'s| is)?(?: been| gone| going| lasted)?"
    r"(?: on)?(?: for)?|已经|持续|一直|到现在)[^.。!?;\n]{0,6}"
)
"""What stands between a finding and how long "it" has gone on, in the next sentence."""


@dataclass(frozen=True)
class Finding:
    """One concept in the text: `text == source[start:end]`.

    `since` are the patient's words where these name a day or a time of it and no span.
    `site` and `side` where its words name them; `corrected` where a typing error was read over.
    """

    code: str
    status: Status
    experiencer: Experiencer
    temporality: Temporality
    start: int
    end: int
    text: str
    severity: Severity | None = None
    onset: Onset | None = None
    course: Course | None = None
    duration_hours: float | None = None
    since: str | None = None
    site: str | None = None
    side: Side | None = None
    corrected: bool = False

    @property
    def is_of_now(self) -> bool:
        """Whether somebody has it now: not denied, asked, past or told of the family."""
        return (self.status, self.temporality) == (
            "present",
            "now",
        ) and self.experiencer != "family"

    @property
    def sudden(self) -> bool:
        """Whether it began all at once."""
        return self.onset == "sudden"

    @property
    def worsening(self) -> bool:
        """Whether it is getting worse."""
        return self.course == "worsening"


@dataclass(frozen=True)
class Reading:
    """All that was understood of one text."""

    text: str
    language: str
    findings: tuple[Finding, ...]
    values: tuple[Value, ...]
    ages_years: tuple[float, ...]
    sex: Sex | None


class Reader:
    """Reads texts with one lexicon. Pure and thread-safe."""

    def __init__(self, terms: Lexicon | None = None) -> None:
        self._matcher = matcher() if terms is None else Matcher(terms)
        self._lexicon = terms or lexicon()
        self._phrases = phrase_reader() if terms is None else PhraseReader(terms)
        self._diseases = frozenset(c for c, v in self._lexicon.items() if v.kind in HISTORY)

    def read(self, text: str) -> Reading:
        """Findings, values, age, sex and language of one text."""
        original = text
        text, places = visible(text)
        text, mistyped = typos().read_over(text, normalise(text))
        folded = normalise(text)
        cased = with_case(folded, text)
        letters = Letters(text)
        durations = find_durations(folded)
        mentions = self._phrases.extend(folded, self._matcher.find(text), durations)
        mentions = elsewhere(folded, mentions)
        # By parts, not by list; a lexicon of one's own need not know a crisis.
        crises = crisis_reader().extend(folded, mentions)
        mentions = [m for m in crises if m.code in self._lexicon]
        # Linked findings (头和脖子都疼) share their words and count as one.
        starts = sorted({m.start for m in mentions})
        # A language is chosen per sentence: mixed texts hold whole clauses of both.
        contexts = {
            code: ContextReader(folded, mentions, code, self._diseases) for code in ("zh", "en")
        }
        findings = []
        for mention in mentions:
            local = letters.language(*_around(folded, mention))
            context = contexts["en" if local == "en" else "zh"].read(mention)
            duration = _duration_of(folded, mention, starts, durations)
            found = Finding(
                code=mention.code,
                status=context.status,
                experiencer=context.experiencer,
                temporality=context.temporality,
                start=places[mention.start],
                end=places[mention.end - 1] + 1,
                text=original[places[mention.start] : places[mention.end - 1] + 1],
                severity=context.severity,
                onset=context.onset,
                course=context.course,
                duration_hours=duration.hours if duration else None,
                since=_words_of(original, places, duration),
                site=mention.site,
                side=mention.side,
                corrected=mention.corrected
                or any(s < mention.end and mention.start < e for s, e in mistyped),
            )
            findings.append(found)
            acute = self._lexicon[mention.code].acute
            if (
                acute
                and found.is_of_now
                and is_happening(folded, mention.start, mention.end, local)
            ):
                findings.append(replace(found, code=acute))
        return Reading(
            text=original,
            language=letters.language(),
            findings=tuple(findings),
            values=tuple(find_values(cased)),
            ages_years=tuple(find_ages_years(cased)),
            sex=find_sex(cased),
        )


def _around(text: str, mention: Mention) -> tuple[int, int]:
    """Where the sentence around a mention lies, at most `_REACH` characters either way."""
    first = max(0, mention.start - _REACH)
    start = first
    for match in SENTENCE_END.finditer(text, first, mention.start):
        start = match.end()
    end = SENTENCE_END.search(text, mention.end, mention.end + _REACH)
    return start, end.start() if end else mention.end + _REACH


def _duration_of(
    text: str, mention: Mention, starts: Sequence[int], durations: Sequence[Duration]
) -> Duration | None:
    """The nearest duration of the same sentence with no other sentence mark between.

    A duration after the mention wins over one before it at the same distance: 胸痛30分钟.
    `starts` are those of all mentions, in order. On either side only the nearest duration can
    win, for length and mentions between grow with every one behind it.
    """
    best: tuple[float, Duration] | None = None
    following = bisect_left(durations, mention.end, key=lambda d: d.start)
    for duration in durations[max(0, following - 1) : following + 1]:
        after = duration.start >= mention.end
        between = (
            text[mention.end : duration.start] if after else text[duration.end : mention.start]
        )
        if SENTENCE_END.search(between) and not (after and _GOES_ON.fullmatch(between)):
            continue
        distance = len(between) + (0.0 if after else 0.5)
        if "," in between:
            low = min(mention.end, duration.end)
            high = max(mention.start, duration.start)
            others = bisect_left(starts, high) - bisect_left(starts, low)
            distance += 100.0 * (others - (low <= mention.start < high))
        if best is None or distance < best[0]:
            best = (distance, duration)
    return None if best is None else best[1]


def _words_of(text: str, places: Sequence[int], duration: Duration | None) -> str | None:
    """The words of `text` that name a day or a time of it."""
    if duration is None or not duration.dated:
        return None
    return text[places[duration.start] : places[duration.end - 1] + 1]
