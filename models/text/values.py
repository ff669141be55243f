"""Values stated in words: temperature, blood pressure, pulse, SpO2, weeks of pregnancy…

Units: see `knowledge_base.rules.facts.Facts`. A value out of its physiological range is not
a value: it is dropped here and refused where it comes in as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from models.text.age_sex import find_people
from models.text.measured import SEPARATOR, WORDS
from models.text.numbers import NUMBER, parse_number, spoken_end, with_digits

PLAUSIBLE: dict[str, tuple[float, float]] = {
    "heart_rate": (10, 300),
    "respiratory_rate": (2, 100),
    "systolic_bp": (30, 320),
    "diastolic_bp": (10, 220),
    "temperature_c": (24, 46),
    "spo2": (20, 100),
    "glucose_mmol_l": (0.3, 120),
    "pain_score": (0, 10),
    "gestation_weeks": (1, 45),
    "weight_kg": (0.3, 400),
}
"""Inclusive limits of what can be measured in a living person, by value name."""


@dataclass(frozen=True)
class Value:
    """A stated value and where it stands."""

    name: str
    value: float
    start: int
    end: int


_WEEKS_PER_MONTH = 30.4 / 7
_KILOGRAMS = {"斤": 0.5, "市斤": 0.5, "lb": 0.4536, "lbs": 0.4536, "pounds": 0.4536}


def _celsius(number: float, _unit: str) -> float:
    """Fahrenheit is what a living person cannot have in Celsius."""
    return (number - 32) / 1.8 if number > 60 else number


def _mmol(number: float, unit: str) -> float:
    """mg/dL where it is said, or where mmol/L would be beyond any meter (33.3)."""
    return number / 18.0 if unit.startswith("mg") or number > 33.3 else number


def _kilograms(number: float, unit: str) -> float:
    return number * _KILOGRAMS.get(unit, 1.0)


def _weeks(number: float, unit: str) -> float:
    return number * _WEEKS_PER_MONTH if unit.startswith(("月", "month")) else number


def _plain(number: float, _unit: str) -> float:
    return number


_N = NUMBER
# A number followed by a unit of time or count is not a measurement: 发烧30分钟, pulse 3 days.
_NOT_TIME = (
    r"(?!\d|(?<!\d)[一二三四五六七八九十百]|\s{0,20}(?:秒|分|小时|个|天|日|周|月|年|岁|次|多|级|"
    r"sec|min|hour|hr|day|week|month|year)|-year)"
)
_TAIL = (
    r"(?P<tail>[\d一二三四五六七八九半]"
    r"(?!\d|\s?(?:个|天|日|周|星期|礼拜|月|年|小时|钟头|分|夜|晚|次|多)))?"
)
"""What stands behind the degrees: 38度5, 三十八度半; 一 in 38度一天 counts the days."""
_COUNTED = r"(?P<n>\d{2,3}|[一二三四五六七八九]?[十百][一二三四五六七八九十零]{0,3})\s?(?:多|次|下)"
_SEP = SEPARATOR
_UP_TO = rf"(?:\s{{0,3}}(?:-|~|到|至|to)\s{{0,3}}(?P<n2>{_N}))?"
_TEMPERATURE = (
    r"(?:体温|[肛腋耳口额]温|发烧|发热|烧|高烧|高热|温度|(?<![a-z])(?:temperature|temp|t|fever))"
)
_NO_ANGLE = (
    r"(?<![屈弯伸抬展])(?<![屈弯伸抬展旋转][到至曲起直])"
    r"(?<!bend to )(?<!bends to )(?<!flexes to )(?<!flexion to )(?<!flexion )(?<!turns )"
)
_MONTHS = r"(?P<tail>半)?(?P<unit>月)"
_PATTERNS: list[tuple[str, re.Pattern[str], Callable[[float, str], float]]] = [
    ("temperature_c", re.compile(
        rf"{_TEMPERATURE}{_SEP}(?P<n>{_N}){_UP_TO}{_NOT_TIME}"
        rf"\s*(?:度|℃|°c?|c\b|f\b|°f|˚f)?{_TAIL}"), _celsius),
    ("temperature_c", re.compile(
        rf"{_NO_ANGLE}(?P<n>{_N})\s*(?:度|℃|°|˚){_TAIL}"
        r"(?!角|数|近视|烧伤|烫伤)"), _celsius),
    ("temperature_c", re.compile(
        rf"{_NO_ANGLE}(?<![\d.])(?P<n>\d{{2,3}}(?:\.\d{{1,3}})?)\s{{0,20}}(?:c|degrees)(?![a-z])"),
     _celsius),
    ("temperature_c", re.compile(
        r"(?<![a-z])(?:temperature|temp|fever)[^.,;!?\n]{0,40}?"
        r"(?<![\d.])(?P<n>\d{2,3}(?:\.\d{1,3})?)\s{0,20}f(?![a-z])"), _celsius),
    # 量了38.3, or the number alone between marks: with its tenth, only a thermometer shows that.
    ("temperature_c", re.compile(
        r"(?:[量测](?:了|得|出来|出|过|的)?(?:一下|下|是|有|到)?|[,;。!?\n])\s?"
        rf"(?P<n>(?:3[6-9]|4[01])\.\d)(?=\s?(?:[,;。!?\n]|$)){_TAIL}"), _celsius),
    # Without a degree sign or a word for it only what a thermometer shows: 28F is a woman of 28.
    ("temperature_c", re.compile(
        r"(?<![\d.])(?P<n>(?:9\d|1[01]\d)(?:\.\d{1,3})?|\d{2}\.\d{1,3})\s{0,20}f(?![a-z])"),
     _celsius),
    ("heart_rate", re.compile(
        rf"{WORDS['heart_rate']}{_SEP}(?P<n>{_N}){_UP_TO}{_NOT_TIME}"), _plain),
    ("heart_rate", re.compile(rf"(?:心率|脉搏|心跳){_SEP}{_COUNTED}"), _plain),
    ("respiratory_rate", re.compile(
        rf"{WORDS['respiratory_rate']}{_SEP}(?P<n>{_N}){_NOT_TIME}"), _plain),
    ("respiratory_rate", re.compile(rf"(?:呼吸频率|呼吸){_SEP}{_COUNTED}"), _plain),
    ("spo2", re.compile(
        rf"{WORDS['spo2']}{_SEP}(?P<n>{_N}){_NOT_TIME}"
        r"(?!\s{0,3}(?:l\b|升|liter|litre))"), _plain),
    ("glucose_mmol_l", re.compile(
        rf"{WORDS['glucose_mmol_l']}{_SEP}(?P<n>{_N}){_NOT_TIME}\s{{0,20}}(?P<unit>mg)?"), _mmol),
    ("pain_score", re.compile(r"(?:pain|疼痛评分|疼痛|疼|痛)\D{0,12}?(?P<n>\d+)\s*/\s*10"), _plain),
    ("pain_score", re.compile(
        r"(?<![\d.])(?P<n>\d{1,2})\s{0,9}(?:/|out of)\s{0,9}10\b(?=\D{0,15}(?:pain|疼|痛))"),
     _plain),
    ("pain_score", re.compile(r"(?:pain)\D{0,20}?(?P<n>\d{1,2})\s{0,9}out of\s{0,9}10\b"), _plain),
    ("pain_score", re.compile(
        rf"(?:疼痛(?:评分|程度)?|(?<![a-z])(?:nrs|vas)){_SEP}(?P<n>{_N})\s*(?:分(?!钟|之)|(?![\d.天周月年岁次]))"),
     _plain),
    ("gestation_weeks", re.compile(
        rf"(?:怀孕|孕|妊娠)(?:了|已经|快|约)*(?P<n>{_N})(?:多)?(?:周|w)"), _plain),
    ("gestation_weeks", re.compile(rf"(?P<n>{_N})周(?:孕|\+\d)"), _plain),
    ("gestation_weeks", re.compile(
        rf"(?:怀孕|孕|妊娠)(?:了|已经|快|约)*(?P<n>{_N})个{_MONTHS}"), _weeks),
    ("gestation_weeks", re.compile(
        r"(?<!\d)(?P<n>\d{1,2})\s{0,20}(?P<unit>weeks|wks|week|w|months)\s{0,3}"
        r"(?:pregnant|gestation|of pregnancy)"), _weeks),
    # "at 35 weeks" is said of a pregnancy from its middle on, unless of a birth or of a child.
    ("gestation_weeks", re.compile(
        r"(?<!born )(?<!delivered )(?<!premature )(?<!preterm )(?<![a-z])at "
        r"(?P<n>2\d|3\d|4[0-2])\+?\d?\s?(?:weeks|wks)"
        r"(?!\s?(?:old|of age|post|after|since))"), _weeks),
    ("gestation_weeks", re.compile(
        r"pregnant\D{0,12}?(?P<n>\d+)\s{0,20}(?P<unit>weeks|wks|week|months)"), _weeks),
    ("weight_kg", re.compile(
        rf"{WORDS['weight_kg']}{_SEP}(?P<n>{_N}){_NOT_TIME}"
        r"\s{0,20}(?P<unit>公斤|千克|市斤|斤|kgs?|lbs?|pounds)"), _kilograms),
]  # fmt: skip
_PRESSURE = re.compile(
    rf"{WORDS['systolic_bp']}{_SEP}(?P<s>{_N})"
    rf"(?:\s{{0,3}}[-~到至]\s{{0,3}}(?P<s2>{_N})(?=\s{{0,3}}/))?{_NOT_TIME}"
    rf"(?:\s{{0,20}}(?:/|over|-|和|到|,?\s?(?:低压|舒张压)(?:是|为)?)\s{{0,3}}(?P<d>{_N})"
    rf"(?:\s{{0,3}}[-~到至]\s{{0,3}}(?P<d2>{_N}))?)?"
)
_DIASTOLIC = re.compile(rf"{WORDS['diastolic_bp']}{_SEP}(?P<n>{_N}){_NOT_TIME}")
_NO_MEASUREMENT = frozenset("一几半")
"""Numerals that alone measure nothing: 血糖一直很高."""


def find_values(text: str) -> list[Value]:
    """Vital signs and like values in folded text, in order; no two of a kind overlap.

    Of a range ("38.5-39.5") the upper end is read. Letters may keep their case: "28F" is then
    known as an age beside a sex, which measures nothing.
    """
    found: list[Value] = []
    people = find_people(text)
    text = text.lower()
    original, text = text, with_digits(text)

    def keep(name: str, number: float | None, start: int, end: int) -> None:
        if number is None:
            return
        low, high = PLAUSIBLE[name]
        taken = any(v.name == name and v.start < end and start < v.end for v in found)
        if name == "temperature_c":
            taken = taken or any(p.start < end and start < p.end for p in people)
        if low <= number <= high and not taken:
            if text != original:
                end = spoken_end(original, end)
            found.append(Value(name, round(number, 2), start, end))

    for name, pattern, convert in _PATTERNS:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            if match["n"] in _NO_MEASUREMENT:
                continue
            number = parse_number(groups.get("n2") or match["n"])
            tail = groups.get("tail")
            if number is not None and tail and _goes_on(match["n"], tail):
                number += 0.5 if tail == "半" else (parse_number(tail) or 0) / 10
            unit = groups.get("unit") or ""
            keep(name, None if number is None else convert(number, unit), *match.span())
    for match in _PRESSURE.finditer(text):
        systolic, diastolic = _pressure(match)
        keep("systolic_bp", systolic, *match.span())
        keep("diastolic_bp", diastolic, *match.span())
    for match in _DIASTOLIC.finditer(text):
        keep("diastolic_bp", parse_number(match["n"]), *match.span())
    return sorted(found, key=lambda v: v.start)


def _goes_on(number: str, tail: str) -> bool:
    """Whether a digit behind belongs to the number: one of its own script, or 半 (38度半)."""
    if "." in number or "点" in number:
        return False
    return tail == "半" or number[-1].isdecimal() == tail.isdecimal()


def _pressure(match: re.Match[str]) -> tuple[float | None, float | None]:
    """Systolic and diastolic pressure; two numerals in one breath are both: 九十六十."""
    stated = match["s2"] or match["s"]
    second = match["d2"] or match["d"]
    systolic = parse_number(stated)
    diastolic = parse_number(second) if second else None
    if systolic is None and second is None:
        return _two_numerals(stated)
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        # 血压140到150: a range of one number, not two numbers.
        return diastolic, None
    return systolic, diastolic


def _two_numerals(text: str) -> tuple[float | None, float | None]:
    for cut in range(1, len(text)):
        first, second = parse_number(text[:cut]), parse_number(text[cut:])
        if first and second and first > second >= 30:
            return first, second
    return None, None
