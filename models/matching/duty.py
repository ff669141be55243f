"""Weekly duty hours: read from words such as `mon-fri 08:00-12:00,14:00-17:30; sat 08:00-12:00`.

Chinese days (周一至周五) and full-width signs are read too; `always` and `off` stand alone. Hours
that end before they begin run past midnight. Local time of the hospital: no time zone here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
WEEK = 7 * DAY

_CHINESE_DAY = re.compile(r"(?:周|星期)([一二三四五六日天])")
_CHINESE_DAYS = dict(zip("一二三四五六日天", (*DAYS, "sun"), strict=True))
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-(?:([01]?\d|2[0-3]):([0-5]\d)|24:00)")


@dataclass(frozen=True)
class Duty:
    """The hours of a week: `spans` in minutes since Monday 00:00, end excluded; `text` as read."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def covers(self, local: datetime) -> bool:
        """Whether somebody with these hours is on duty at a local time."""
        minute = local.weekday() * DAY + local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self.spans)


def parse_duty(text: str) -> Duty:
    """Duty hours from words; raises ValueError without quoting them."""
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    plain = _CHINESE_DAY.sub(lambda found: _CHINESE_DAYS[found[1]], plain)
    plain = re.sub(r"\s*([-,;:])\s*", r"\1", re.sub("[至~—–]", "-", plain).replace("、", ","))
    if plain == "always":
        return Duty("always", ((0, WEEK),))
    if plain == "off":
        return Duty("off", ())
    spans: list[tuple[int, int]] = []
    for part in filter(None, plain.split(";")):
        days, gap, hours = part.partition(" ")
        if not gap:
            raise ValueError("duty hours are days, a space, hours: mon-fri 08:00-12:00")
        for day in _days(days):
            for start, end in map(_hours, hours.split(",")):
                spans += _in_week(day * DAY + start, day * DAY + end)
    if not spans:
        raise ValueError("duty hours are empty: write `off` or `always`")
    return Duty(plain, tuple(sorted(set(spans))))


def _days(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError("days are mon tue wed thu fri sat sun or 周一 to 周日")
        start = DAYS.index(first)
        length = (DAYS.index(last) - start) % 7 if dash else 0
        found += [(start + step) % 7 for step in range(length + 1)]
    return found


def _hours(text: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError("hours are HH:MM-HH:MM")
    start = int(found[1]) * 60 + int(found[2])
    end = DAY if found[3] is None else int(found[3]) * 60 + int(found[4])
    if start == end:
        raise ValueError("hours begin and end at the same minute: write 00:00-24:00 for a day")
    return start, end if end > start else end + DAY


def _in_week(start: int, end: int) -> list[tuple[int, int]]:
    """A span within one week: Sunday's night runs on into Monday."""
    return [(start, end)] if end <= WEEK else [(start, WEEK), (0, end - WEEK)]
