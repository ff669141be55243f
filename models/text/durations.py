"""How long something has gone on: 半个月, 三天, 30分钟, for 3 days, since this morning."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.text.numbers import NUMBER, parse_number

_HOURS_ZH = {
    "秒": 1 / 3600, "分钟": 1 / 60, "分": 1 / 60, "小时": 1.0, "钟头": 1.0, "天": 24.0,
    "日": 24.0, "周": 168.0, "星期": 168.0, "礼拜": 168.0, "月": 720.0, "年": 8760.0,
}  # fmt: skip
_HOURS_EN = {
    "second": 1 / 3600, "sec": 1 / 3600, "minute": 1 / 60, "min": 1 / 60, "hour": 1.0,
    "hr": 1.0, "day": 24.0, "week": 168.0, "wk": 168.0, "month": 720.0, "year": 8760.0,
}  # fmt: skip
_WORDS_EN = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "several": 4, "couple": 2, "few": 3,
}  # fmt: skip

_ZH = re.compile(
    rf"(?<![孕期每第后])(?P<n>{NUMBER})(?:多|来)?个?(?P<half>半)?(?:多)?"
    r"(?P<unit>秒|分钟|分|小时|钟头|天|日|周|星期|礼拜|月|年)(?!龄|大|岁|经|的?孩|前后|\d|一次|级)"
)
_EN = re.compile(
    r"(?<![a-z0-9.-])(?P<n>\d+(?:\.\d+)?|" + "|".join(_WORDS_EN) + r")"
    r"(?:\s+of)?[\s-]+(?P<unit>second|sec|minute|min|hour|hr|day|week|wk|month|year)s?\b"
    r"(?![\s-]*(?:old|pregnant|of age))"
)
_FIXED = [
    (re.compile(r"刚才|刚刚|just now|a moment ago"), 0.5),
    (re.compile(r"今早|今天早上|今天早晨|this morning|今天|today|tonight|今晚"), 8.0),
    (re.compile(r"昨晚|昨夜|last night|overnight"), 14.0),
    (re.compile(r"昨天|yesterday"), 24.0),
    (re.compile(r"前天"), 48.0),
    (re.compile(r"这几天|最近几天|past few days|last few days"), 96.0),
]
_EVERY = re.compile(r"(?:every|each|per|every other|每隔?)\s*$")


@dataclass(frozen=True)
class Duration:
    """A stated span of time: hours and where it stands in the text."""

    hours: float
    start: int
    end: int


def find_durations(text: str) -> list[Duration]:
    """Durations in normalised text, in order; frequencies and ages are not durations."""
    found: list[Duration] = []
    for match in _ZH.finditer(text):
        number = parse_number(match["n"])
        if number is None or number <= 0 or _EVERY.search(text[: match.start()]):
            continue
        number += 0.5 if match["half"] else 0.0
        found.append(Duration(number * _HOURS_ZH[match["unit"]], *match.span()))
    for match in _EN.finditer(text):
        word = match["n"]
        amount = float(_WORDS_EN[word]) if word in _WORDS_EN else float(word)
        if not _EVERY.search(text[: match.start()]):
            found.append(Duration(amount * _HOURS_EN[match["unit"]], *match.span()))
    for pattern, hours in _FIXED:
        for match in pattern.finditer(text):
            if not any(d.start < match.end() and match.start() < d.end for d in found):
                found.append(Duration(hours, *match.span()))
    return sorted(found, key=lambda d: d.start)
