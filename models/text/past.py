"""Whether a finding is told of the past: before a cue (以前, history of) or beside a date.

A year, an age or "years ago" belongs to the finding that it stands beside: in "a stroke in 2016
and a weak arm" the arm is weak now. Whatever speaks of today keeps the finding in the present,
and so does a year that may not be over yet: a missed emergency costs more than an old one.
"""

from __future__ import annotations

import re

from knowledge_base.lexicon.context import last_year_over
from models.text.cue_patterns import MENTION, CuePatterns

_REACH = {"zh": 6, "en": 4}
"""Characters or words that may stand between a past cue and what it makes past."""
_NUMBER_ZH = r"(?:\d{1,2}|[一二两三四五六七八九十几多]{1,4})"
_NO_YEAR = (
    r"(?![\d/:]|\s*(?:hrs?|hours?|h|[ap]m|o'clock|m?c?gs?|kg|ml|cc|iu|kcal|calories|grams?"
    r"|milligrams?|micrograms?|units?|steps?|tablets?|pills?)\b)"
)
_YEAR = rf"(?P<year>(?:19|20)\d\d){_NO_YEAR}"
"""Neither an hour (1930hrs) nor an amount (2000 mg)."""
_PART_OF_YEAR = (
    "(?:early|mid|late|spring|summer|autumn|fall|winter|january|february|march|april|may|june|july"
    "|august|september|october|november|december)"
)
_NOT_AT = "".join(
    rf"(?<!{re.escape(word)})"
    for word in (
        "at ", "@", "@ ", "by ", "around ", "about ", "approx ", "since ", "from ", "until ",
        "till ", "before ", "after ", "to ", "over ", "of ", ":", "~", "-", ".",
    )
)  # fmt: skip
"""What stands before an hour or an amount, but before no year of an illness that is over."""
_AT_AGE = {
    # 5岁时不时, 5岁时常: now and then, at five.
    "zh": re.compile(rf"{_NUMBER_ZH}岁(?:时(?!不时|常|而|刻|有(?!过)|[好隐断]时)|那年|的时候)"),
    "en": re.compile(r"\bat (?:the )?age (?:of )?\d{1,2}\b"),
}
_DATE = {
    "zh": re.compile(
        rf"{_NUMBER_ZH}年(?:多|半)?(?:以)?前"
        rf"|(?<!\d){_YEAR}年(?:\d{{1,2}}月)?(?:\d{{1,2}}日)?(?:份|底|初)?|{_AT_AGE['zh'].pattern}"
    ),
    "en": re.compile(
        rf"\b(?:(?:in|during)\s+(?:(?:the )?{_PART_OF_YEAR} (?:of )?)?|{_PART_OF_YEAR} of ){_YEAR}"
        r"|\b(?:(?:\d{1,2}|[a-z-]+)\s+)?(?:and a half\s+)?(?:years?|yrs?)\s+ago\b|\blast year\b"
        r"|\b(?:in (?:early )?childhood|as an? (?:small |young )?"
        r"(?:child|toddler|baby|infant|teenager|teen|kid|boy|girl|student))\b"
        rf"|{_AT_AGE['en'].pattern}"
        r"|\bwhen (?:i|he|she) was (?:\d{1,2}|little|small|young)\b"
    ),
}
_AFTER = {
    "zh": (
        _DATE["zh"],
        re.compile(
            rf"去年|前年|小时候|后(?:已|的)?第?{_NUMBER_ZH}年|已痊愈|已治愈|已愈|愈合良好"
            r"|石膏(?:已|都)?拆|拆(?:了)?石膏"
        ),
    ),
    "en": (
        _DATE["en"],
        # Nobody leaves out the "in" of years long past: 1930 alone is half past seven.
        re.compile(rf"{_NOT_AT}\(?(?P<year>19[6-9]\d|20\d\d){_NO_YEAR}"),
        re.compile(
            r"\b(?:fully |completely |now |well |long )?healed\b"
            r"|\bhealing (?:ok|okay|well|fine|nicely)\b"
        ),
    ),
}
_SOMETHING_ELSE = {
    # 3年前做了支架 胸痛: the stent is dated. 得了脑梗, 有过一次脑梗 say no more than the illness.
    "zh": re.compile(r"\S\s|[过了](?![一两三几]?[次回场个]?$)|(?:手术|开刀|切除)(?!后)"),
    "en": re.compile(r"\b(?:stents?|bypass|surgery|operation|operated|pacemaker|transplant)\b"),
}
"""What stands between a date and a finding and has the date to itself."""
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
    if ends and _words(part[max(ends) :], language) <= _REACH[language]:
        return True
    after = re.split(rf"[,{MENTION}]", right, maxsplit=1)[0]
    if _is_dated(cues, part, after, clause):
        return True
    dates = [m for pattern in _AFTER[language] if (m := pattern.search(after))]
    found = min(dates, key=re.Match.start, default=None)
    if found is None or not _is_over(found) or _BEGAN.search(after) or _TODAY.search(clause):
        return False
    dated = language == "zh" and _DATE["zh"].fullmatch(found.group())
    if dated and right[found.end() :].split(",", 1)[0].strip("的得患了"):
        # A Chinese date stands before its event: in 孕妇2024年剖宫产 nobody was pregnant then.
        return False
    return _words(after[: found.start()], language) <= _REACH[language]


def _is_dated(cues: CuePatterns, before: str, after: str, clause: str) -> bool:
    """Whether a date before the mention is its own: it belongs to the first that it meets.

    In 5年前心梗胸痛 and 3年前做了支架 胸痛 the pain is now, and so is what is said to be severe.
    """
    if MENTION in before:
        return False
    language = cues.language
    date = next((m for m in reversed([*_DATE[language].finditer(before)]) if _is_over(m)), None)
    if date is None:
        return False
    between = before[date.end() :].lstrip()
    if _words(between, language) > _REACH[language] or _SOMETHING_ELSE[language].search(between):
        return False
    # "At age 60" may say how old somebody is today.
    told = clause if _AT_AGE[language].fullmatch(date.group()) else after
    return not any(cue.search(told) for cue in (cues.severity[0][0], cues.onsets[0][0]))


def _words(between: str, language: str) -> int:
    between = between.replace(MENTION, "")
    return len(between) if language == "zh" else len(between.split())


def _is_over(date: re.Match[str]) -> bool:
    year = date.groupdict().get("year")
    return year is None or int(year) <= last_year_over()
