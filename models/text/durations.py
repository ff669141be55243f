"""How long something has gone on: 半个月, 三天, 30分钟, for 3 days, since this morning."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.text.numbers import NUMBER, parse_number, with_digits

_HOURS_ZH = {
    "秒": 1 / 3600, "分钟": 1 / 60, "分": 1 / 60, "小时": 1.0, "钟头": 1.0, "天": 24.0,
    "日": 24.0, "周": 168.0, "星期": 168.0, "礼拜": 168.0, "月": 720.0, "年": 8760.0,
}  # fmt: skip
_HOURS_EN = {
    "second": 1 / 3600, "sec": 1 / 3600, "minute": 1 / 60, "min": 1 / 60, "hour": 1.0,
    "hr": 1.0, "h": 1.0, "day": 24.0, "night": 24.0, "d": 24.0, "week": 168.0, "wk": 168.0,
    "fortnight": 336.0, "month": 720.0, "year": 8760.0,
}  # fmt: skip
_FIRST_CALENDAR_YEAR = 1900
"""From here on 年 names a year and measures no time."""
_WORDS_EN = {"a": 1, "an": 1, "several": 4, "couple": 2, "few": 3}

_ZH = re.compile(
    rf"(?<![孕期每第后])(?<!评分)(?<!疼痛)(?P<n>{NUMBER})\s?(?:多|来)?个?(?P<half>半)?(?:多)?"
    r"(?P<unit>秒|分钟|分|小时|钟头|天|日|周|星期|礼拜|月|年)(?!龄|大|岁|经|的?孩|前后|\d|一次|级)"
    r"(?P<and_half>半(?!夜|路|个))?"
)
_UNIT_EN = r"(?P<unit>second|sec|minute|min|hour|hr|day|night|week|wk|month|year|fortnight)s?\b"
_NO_AGE = r"(?!\s{0,20}-?(?:old|pregnant|of age|gestation))"
_EN = [
    re.compile(rf"(?<![a-z])(?P<n>half)\s+(?:an?\s+)?{_UNIT_EN}{_NO_AGE}"),
    re.compile(
        r"(?<![a-z0-9.-])(?:\d{1,3}\s{0,9}(?:-|to|or)\s{0,9})?"
        rf"(?P<n>\d{{1,4}}(?:\.\d{{1,3}})?|{'|'.join(_WORDS_EN)})(?:\s+of)?[\s-]{{1,20}}{_UNIT_EN}"
        rf"(?P<and_half>\s+and\s+a\s+half)?{_NO_AGE}"
    ),
    re.compile(rf"(?<![a-z0-9.])(?P<n>\d{{1,3}})(?P<unit>min|hr|h|d|wk)s?\b{_NO_AGE}"),
]


def _since(zh: str, en: str) -> re.Pattern[str]:
    return re.compile(rf"[从自]{zh}|{zh}[就才]?开始|since {en}")


_WEEKDAY_ZH = "(?:周|星期|礼拜)[一二三四五六日天]"
_WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
# Without a clock the middle of what a word can mean: Monday is none to seven days ago.
_PART_ZH = "(?:早上|早晨|清晨|上午|中午|下午|傍晚|凌晨|晚上|夜里|半夜)"
_CLOCK_ZH = rf"{_PART_ZH}?{NUMBER}点(?:半|多|钟|整|左右|\d{{1,2}}分?)*"
_CLOCK_EN = r"\d{1,2}(?::\d\d)?\s?(?:am\b|pm\b|o'clock)"
_FIXED = [
    (re.compile(rf"(?:今天|今早|今晨){_CLOCK_ZH}|(?:从|自){_CLOCK_ZH}(?:就|才)?开始"
                rf"|(?<!每天)(?<!天天){_PART_ZH}{NUMBER}点(?:半|多|钟|左右)*[就才]?(?:开始|突然)"),
     8.0),
    (re.compile(rf"(?:昨天|昨晚|昨夜){_CLOCK_ZH}"), 20.0),
    (re.compile(rf"since (?:about |around )?{_CLOCK_EN}(?: this morning| today| tonight)?"
                rf"|(?:at |around |about ){_CLOCK_EN} (?:this morning|today|tonight)"), 8.0),
    (re.compile(rf"(?:since |at |around ){_CLOCK_EN} (?:yesterday|last night)"), 20.0),
    (re.compile(r"刚才|刚刚|just now|a moment ago"), 0.5),
    (re.compile(r"今早|今天早上|今天早晨|this morning|今天|today|tonight|今晚"), 8.0),
    (re.compile(r"(?:从|自)?(?:早上|早晨|上午|中午|下午|凌晨|傍晚)(?:就|才)?开始"), 8.0),
    (re.compile(r"since (?:noon|lunch(?:time)?|breakfast|midnight)|this afternoon"), 8.0),
    (re.compile(r"一?整夜|一?整晚|一晚上|昨晚|昨夜|昨天夜里|last night|overnight|all night"), 14.0),
    (re.compile(r"昨天|yesterday"), 24.0),
    (re.compile(r"大前天"), 72.0),
    (re.compile(r"前天|day before yesterday"), 48.0),
    (re.compile(r"这几天|最近几天|past few days|last few days"), 96.0),
    (_since(f"上个?{_WEEKDAY_ZH}", f"last {_WEEKDAY}"), 240.0),
    (_since(f"这?{_WEEKDAY_ZH}", _WEEKDAY), 84.0),
    (_since("上个?(?:周|星期|礼拜)", "last week"), 240.0),
    (_since("上个?月", "last month"), 1080.0),
]  # fmt: skip
_EVERY = re.compile(r"(?:every|each|per|every other|每隔?)\s*$")


@dataclass(frozen=True)
class Duration:
    """A stated span of time: hours and where it stands in the text.

    `dated`: words name a day or a time of it (this morning), and the hours are only about right.
    """

    hours: float
    start: int
    end: int
    dated: bool = False


def find_durations(text: str) -> list[Duration]:
    """Durations in normalised text, in order; frequencies and ages are not durations."""
    found: list[Duration] = []
    for match in _ZH.finditer(text):
        number = parse_number(match["n"])
        if number is None or number <= 0 or _is_frequency(text, match.start()):
            continue
        if match["unit"] == "年" and number >= _FIRST_CALENDAR_YEAR:
            continue
        number += 0.5 if match["half"] or match["and_half"] else 0.0
        found.append(Duration(number * _HOURS_ZH[match["unit"]], *match.span()))
    spoken = with_digits(text)
    for pattern in _EN:
        for match in pattern.finditer(spoken):
            amount = _amount(match["n"]) + (0.5 if match.groupdict().get("and_half") else 0.0)
            if not _is_frequency(text, match.start()) and not _taken(found, match):
                found.append(Duration(amount * _HOURS_EN[match["unit"]], *match.span()))
    for pattern, hours in _FIXED:
        for match in pattern.finditer(text):
            if not _taken(found, match):
                found.append(Duration(hours, *match.span(), dated=True))
    return sorted(found, key=lambda d: d.start)


def _is_frequency(text: str, start: int) -> bool:
    return bool(_EVERY.search(text, max(0, start - 20), start))


def _amount(word: str) -> float:
    if word == "half":
        return 0.5
    return float(_WORDS_EN[word]) if word in _WORDS_EN else float(word)


def _taken(found: list[Duration], match: re.Match[str]) -> bool:
    return any(d.start < match.end() and match.start() < d.end for d in found)
