"""Chinese numerals as people write them: 三十九, 一百八, 两, 半, 三十九度五."""

from __future__ import annotations

import re

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0, "俩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}

_CHINESE = "零〇一二两俩三四五六七八九十百千半几"
NUMBER = rf"(?:(?<![\d.])\d{{1,5}}(?:\.\d{{1,3}})?|(?<![{_CHINESE}])[{_CHINESE}]{{1,8}})"
"""Regular expression of a number in digits or Chinese numerals.

Bounded and anchored at its own start, so that a page of digits costs no more than one number.
"""


def parse_number(text: str) -> float | None:
    """The number, or None where it says nothing definite.

    几 counts as 3. A digit after 百 or 千 is shortened speech: 一百八 is 180, 三千五 is 3,500.
    """
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if text == "半":
        return 0.5
    if text == "几":
        return 3.0
    total, current, unit = 0, 0, 1
    shortened = False
    for character in text:
        if character in _DIGITS:
            current = _DIGITS[character]
            shortened = unit >= 100 and character != "零"
            if character in "零〇":
                unit = 1
        elif character in _UNITS:
            unit = _UNITS[character]
            total += (current or 1) * unit
            current, shortened = 0, False
        else:
            return None
    return float(total + (current * unit // 10 if shortened else current))
