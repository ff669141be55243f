"""Whether a finding is told of the past: before a cue (以前, history of) or beside a date.

A year, an age or "years ago" belongs to the finding that it stands beside: in "a stroke in 2016
and a weak arm" the arm is weak now. Whatever speaks of today keeps the finding in the present,
and so does a year that may not be over yet: a missed emergency costs more than an old one.
"""

from __future__ import annotations

import re

from models.text.cue_patterns import MENTION, CuePatterns

_REACH = {"zh": 6, "en": 4}
"""Characters or words that may stand between a past cue and what it makes past."""
_LAST_YEAR_OVER = 2025
"""Later years are read as now. Raised with a release; nothing here asks a clock."""
_NUMBER_ZH = r"(?:\d{1,2}|[一二两三四五六七八九十几多]+)"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATE = {
    "zh": re.compile(
        rf"{_NUMBER_ZH}年(?:多|半)?(?:以)?前|(?<!\d){_YEAR}年(?:\d{{1,2}}月)?(?:\d{{1,2}}日)?(?:份|底|初)?"
        rf"|{_NUMBER_ZH}岁(?:时|那年|的时候)"
    ),
    "en": re.compile(
        rf"\b(?:in|during|of|back in)\s+(?:early |late |spring |summer |autumn |winter )?{_YEAR}\b"
        r"|\b(?:(?:\d{1,2}|[a-z-]+)\s+)?(?:and a half\s+)?(?:years?|yrs?)\s+ago\b|\blast year\b"
        r"|\b(?:in (?:early )?childhood|as an? (?:small |young )?"
        r"(?:child|toddler|baby|infant|teenager|teen|kid|boy|girl|student))\b"
        r"|\bat (?:the )?age (?:of )?\d{1,2}\b"
        r"|\bwhen (?:i|he|she) was (?:\d{1,2}|little|small|young)\b"
    ),
}
_AFTER = {
    "zh": re.compile(
        rf"{_DATE['zh'].pattern}|去年|前年|小时候|后(?:已|的)?第?{_NUMBER_ZH}年|已痊愈|已治愈|已愈|愈合良好|石膏(?:已|都)?拆|拆(?:了)?石膏"
    ),
    "en": re.compile(
        rf"{_DATE['en'].pattern.replace('year>', 'dated>')}"
        rf"|\(?{_YEAR}\)?(?![\d/]|\s*(?:ml|mg|iu|steps))"
        r"|\b(?:fully |completely |now |well |long )?healed\b"
        r"|\bhealing (?:ok|okay|well|fine|nicely)\b"
    ),
}
_BEGAN = re.compile(
    r"start|began|begin|since|notic|appear|diagnos|first|onset|开始|出现|发现|确诊|诊断|查出|起病"
)
"""What began then may still go on."""
_TODAY = re.compile(
    r"again|diagnos|\bnew\b|worse|\bback\b(?! in)|\bjust\b"
    r"|确诊|诊断|再次|复发|越来越|再发|新发|后遗"
)


def is_past(cues: CuePatterns, left: str, right: str, clause: str) -> bool:
    """Whether a mention is past; `left` and `right` are masked text up to and after it.

    A list may stand between a cue and the mention (history of A and B); a comma or other words
    may not: in "previously healthy, crushing chest pain" the pain is now.
    """
    if cues.ongoing.search(clause):
        return False
    language = cues.language
    part = left[left.rfind(",") + 1 :]
    ends = [m.end() for m in cues.past.finditer(part)]
    ends += [
        m.end()
        for m in _DATE[language].finditer(part)
        if _is_over(m) and MENTION not in part[: m.start()]
    ]
    if ends and _words(part[max(ends) :], language) <= _REACH[language]:
        return True
    after = re.split(rf"[,{MENTION}]", right, maxsplit=1)[0]
    found = _AFTER[language].search(after)
    if found is None or not _is_over(found) or _BEGAN.search(after) or _TODAY.search(clause):
        return False
    dated = language == "zh" and _DATE["zh"].fullmatch(found.group())
    if dated and right[found.end() :].split(",", 1)[0].strip("的得患了"):
        # A Chinese date stands before its event: in 孕妇2024年剖宫产 nobody was pregnant then.
        return False
    return _words(after[: found.start()], language) <= _REACH[language]


def _words(between: str, language: str) -> int:
    between = between.replace(MENTION, "")
    return len(between) if language == "zh" else len(between.split())


def _is_over(date: re.Match[str]) -> bool:
    groups = date.groupdict()
    year = groups.get("year") or groups.get("dated")
    return year is None or int(year) <= _LAST_YEAR_OVER
