"""Where sources disagree: quotes about the same thing with other numbers, or opposite advice.

A rough reading, on purpose: it points a reader to two passages and says what differs, never who is
right. Quotes of one document are not compared; the newest comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from knowledge_base.answers.quotes import Quote
from knowledge_base.tokeniser import fold, is_han, tokenise

Kind = Literal["numbers", "advice"]

_SAME_SUBJECT = 0.3
"""Share of the words of the shorter quote that both hold, numbers left out, from which two quotes
speak of one thing."""
_SAME_ADVICE = 0.5
_MEASURE = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:\s*/\s*\d+(?:\.\d+)?)?)\s*"
    r"(?P<unit>mm\s?hg|毫米汞柱|mmol/l|°c|℃|摄氏度|度|kg/m2|%|percent|"
    r"minutes?|mins?|分钟|hours?|小时|days?|天|日|weeks?|周|星期|months?|个月|月|years?|岁|年)",
    re.IGNORECASE,
)
_UNITS = {
    "毫米汞柱": "mmhg", "℃": "°c", "摄氏度": "°c", "度": "°c", "percent": "%", "分钟": "minute",
    "min": "minute", "小时": "hour", "天": "day", "日": "day", "周": "week", "星期": "week",
    "个月": "month", "月": "month", "岁": "year", "年": "year",
}  # fmt: skip
_AGAINST = re.compile(
    r"不(?:再|应|要|能|可|宜|必|需|推荐|建议|主张|常规)|无需|避免|禁用|禁止|停用|"
    r"\b(?:do not|don't|should not|must not|not recommended|no longer|never|avoid|contraindicated|"
    r"not advised|without routine|stop)\b"
)
_FOR = re.compile(
    r"推荐|建议|应当|应该|应|宜|可以|首选|必须|需要|"
    r"\b(?:recommend(?:ed|s)?|should|offer|give|use|start|advise[ds]?|first[- ]line|must|may)\b"
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two quotes about one thing, the newer first; what: the numbers or the advice that differ."""

    kind: Kind
    newer: Quote
    older: Quote
    what: str


def disagreements(quotes: Sequence[Quote]) -> tuple[Disagreement, ...]:
    """Every pair of quotes of two documents that speak of one thing and differ; newest first."""
    found = []
    for one, other in combinations(quotes, 2):
        if one.entry.document == other.entry.document or one.language != other.language:
            continue
        newer, older = (one, other) if one.entry.year >= other.entry.year else (other, one)
        difference = compare(newer.text, older.text)
        if difference is not None:
            found.append(Disagreement(difference[0], newer, older, difference[1]))
    return tuple(sorted(found, key=lambda d: (-d.newer.entry.year, -d.older.entry.year)))


def compare(one: str, other: str) -> tuple[Kind, str] | None:
    """What differs between two texts about one thing; None where nothing does."""
    shared = _overlap(one, other)
    if shared >= _SAME_SUBJECT:
        ours, theirs = measures(one), measures(other)
        for unit in ours.keys() & theirs.keys():
            if not ours[unit] & theirs[unit]:
                return "numbers", f"{_listed(ours[unit], unit)} ≠ {_listed(theirs[unit], unit)}"
    if shared >= _SAME_ADVICE and advice(one) * advice(other) < 0:
        against, favour = (one, other) if advice(one) < 0 else (other, one)
        return "advice", f"{_cue(_AGAINST, against)} ≠ {_cue(_FOR, favour)}"
    return None


def measures(text: str) -> dict[str, set[str]]:
    """Numbers by unit, as the text states them."""
    found: dict[str, set[str]] = {}
    for match in _MEASURE.finditer(fold(text)):
        unit = match["unit"].replace(" ", "")
        unit = _UNITS.get(unit, _UNITS.get(unit.removesuffix("s"), unit.removesuffix("s")))
        found.setdefault(unit, set()).add(match["number"].replace(" ", ""))
    return found


def _overlap(one: str, other: str) -> float:
    ours, theirs = _words(one), _words(other)
    least = min(len(ours), len(theirs))
    return len(ours & theirs) / least if least else 0.0


def _words(text: str) -> set[str]:
    return {
        token
        for token in tokenise(text)
        if not token[0].isdigit() and (len(token) > 1 or not is_han(token))
    }


def advice(text: str) -> int:
    """-1 where a text advises against something, 1 where it advises, 0 where it does neither."""
    folded = fold(text)
    if _AGAINST.search(folded):
        return -1
    return 1 if _FOR.search(folded) else 0


def _cue(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(fold(text))
    return match.group() if match else ""


def _listed(numbers: set[str], unit: str) -> str:
    return f"{', '.join(sorted(numbers))} {unit}"
