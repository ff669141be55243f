"""Numbers as people write them: 三十九点五, 一百八, 两, 半, thirty-nine point five, one eighty."""

from __future__ import annotations

import re

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0, "俩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}

_CHINESE = "零〇一二两俩三四五六七八九十百千半几"
NUMBER = (
    rf"(?:(?<![\d.])\d{{1,5}}+(?:\.\d{{1,3}}+)?+"
    rf"|(?<![{_CHINESE}])[{_CHINESE}]{{1,8}}(?:点[零一二三四五六七八九]{{1,2}})?)"
)
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
    whole, _, decimals = text.partition("点")
    if decimals:
        number = parse_number(whole)
        digits = [_DIGITS.get(c) for c in decimals]
        if number is None or None in digits:
            return None
        return number + float("0." + "".join(map(str, digits)))
    total, current, unit = 0, 0, 1
    smallest = 10_000
    shortened = False
    for character in text:
        if character in _DIGITS:
            # 三四天 says about four; 二八 is no number.
            if current and _DIGITS[character] != current + 1:
                return None
            current = _DIGITS[character]
            shortened = unit >= 100 and character != "零"
            if character in "零〇":
                unit = 1
        elif character in _UNITS:
            unit = _UNITS[character]
            if unit >= smallest:
                return None
            smallest = unit
            total += (current or 1) * unit
            current, shortened = 0, False
        else:
            return None
    return float(total + (current * unit // 10 if shortened else current))


_ONES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9,
}  # fmt: skip
_TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90,
}  # fmt: skip
_ONE, _TEEN, _TEN = ("|".join(words) for words in (_ONES, _TEENS, _TENS))
_BELOW_100 = rf"(?:(?:{_TEN})(?:[ -](?:{_ONE}))?|{_TEEN}|{_ONE})"
_SPOKEN = re.compile(
    r"(?<![a-z])(?:"
    rf"(?P<hundreds>a|{_ONE}) hundred(?:(?: and)? (?P<rest>{_BELOW_100}))?"
    rf"|(?P<short>{_ONE}) (?:oh (?P<oh>{_ONE})|(?P<tens>(?:{_TEN})(?:[ -](?:{_ONE}))?|{_TEEN}))"
    rf"|(?P<plain>{_BELOW_100})"
    rf")(?: point (?P<point>{_ONE}|zero|oh))?(?![a-z])"
)


def with_digits(text: str) -> str:
    """Lower-case text with English number words as digits, blanks after them: no place moves.

    "one eighty" is 180 and "one oh five" 105, as blood pressures and pulses are said.
    """
    return _SPOKEN.sub(lambda match: _digits(match).ljust(len(match.group())), text)


def spoken_end(text: str, end: int) -> int:
    """Where the number words end that hold the character before `end`."""
    return next((m.end() for m in _SPOKEN.finditer(text) if m.start() < end < m.end()), end)


def _digits(match: re.Match[str]) -> str:
    if match["hundreds"]:
        number = 100 * _ONES.get(match["hundreds"], 1) + _below_100(match["rest"] or "")
    elif match["short"]:
        number = 100 * _ONES[match["short"]] + _below_100(match["oh"] or match["tens"])
    else:
        number = _below_100(match["plain"])
    decimal = match["point"]
    return str(number) + (f".{_ONES.get(decimal, 0)}" if decimal else "")


def _below_100(words: str) -> int:
    return sum((_TENS | _TEENS | _ONES)[word] for word in re.split("[ -]", words) if word)
