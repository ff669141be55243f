"""Values stated in words: age, sex, pregnancy, temperature, blood pressure, pulse, SpO2…

Units: see `knowledge_base.rules.facts.Facts`. A value out of its physiological range is not
a value: it is dropped here and refused where it comes in as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from knowledge_base.rules.facts import Sex
from models.text.numbers import NUMBER, parse_number

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
}
"""Inclusive limits of what can be measured in a living person, by value name."""


@dataclass(frozen=True)
class Value:
    """A stated value and where it stands."""

    name: str
    value: float
    start: int
    end: int


def _celsius(number: float) -> float:
    """Fahrenheit is what a living person cannot have in Celsius."""
    return (number - 32) / 1.8 if number > 60 else number


def _mmol(number: float) -> float:
    """mg/dL where mmol/L would be beyond any meter (33.3)."""
    return number / 18.0 if number > 33.3 else number


_N = NUMBER
# A number followed by a unit of time or count is not a measurement: 发烧30分钟, pulse 3 days.
_NOT_TIME = (
    r"(?![\d一二三四五六七八九十百]|\s*(?:秒|分|小时|个|天|日|周|月|年|岁|次|多|级|"
    r"sec|min|hour|hr|day|week|month|year)|-year)"
)
_EN_START = r"(?<![a-z])"
_SEP = r"\s{0,3}(?:是|为|有|到了|到|高达|大概|大约|约|只有|才|of|is|was|at|:|=|~){0,3}\s{0,3}"
_PATTERNS: list[tuple[str, re.Pattern[str], Callable[[float], float]]] = [
    ("temperature_c", re.compile(
        rf"(?:体温|发烧|发热|烧|高烧|高热|温度|{_EN_START}(?:temperature|temp|t|fever)){_SEP}"
        rf"(?P<n>{_N}){_NOT_TIME}\s*(?:度|℃|°c?|c\b|f\b|°f|˚f)?(?P<tail>[\d一二三四五六七八九半])?"),
     _celsius),
    ("temperature_c", re.compile(
        rf"(?P<n>{_N})\s*(?:度|℃|°|˚)(?P<tail>[\d一二三四五六七八九半])?(?!角|数|近视|烧伤|烫伤)"),
     _celsius),
    ("temperature_c", re.compile(
        r"(?<![\d.])(?P<n>\d{2,3}(?:\.\d{1,3})?)\s{0,3}(?:f|c|degrees)(?![a-z])"), _celsius),
    ("heart_rate", re.compile(
        rf"(?:心率|脉搏|心跳|{_EN_START}(?:heart rate|pulse(?: rate)?|hr)){_SEP}"
        rf"(?P<n>{_N}){_NOT_TIME}"), float),
    ("respiratory_rate", re.compile(
        rf"(?:呼吸频率|呼吸|{_EN_START}(?:respiratory rate|resp(?:irations)?|rr)){_SEP}"
        rf"(?P<n>\d+){_NOT_TIME}"), float),
    ("spo2", re.compile(
        rf"(?:血氧饱和度|血氧|氧饱和度|{_EN_START}(?:spo2|sao2|o2 sat(?:uration)?|"
        rf"oxygen saturation|sats?)){_SEP}(?P<n>{_N}){_NOT_TIME}"), float),
    ("glucose_mmol_l", re.compile(
        rf"(?:空腹血糖|餐后血糖|血糖|blood sugar|blood glucose|fingerstick glucose|glucose){_SEP}"
        rf"(?P<n>\d+(?:\.\d+)?){_NOT_TIME}"), _mmol),
    ("pain_score", re.compile(r"(?:pain|疼痛评分|疼痛)\D{0,12}?(?P<n>\d+)\s*/\s*10"), float),
    ("gestation_weeks", re.compile(
        rf"(?:怀孕|孕|妊娠)(?:了|已经|快|约)*(?P<n>{_N})(?:多)?(?:周|w)"), float),
    ("gestation_weeks", re.compile(
        r"(?<!\d)(?P<n>\d{1,2})\s{0,3}(?:weeks|wks|week)\s{0,3}"
        r"(?:pregnant|gestation|of pregnancy)"), float),
    ("gestation_weeks", re.compile(r"pregnant\D{0,12}?(?P<n>\d+)\s*(?:weeks|wks|week)"), float),
]  # fmt: skip
_PRESSURE = re.compile(
    rf"(?:血压|高压|收缩压|{_EN_START}(?:bp|blood pressure)){_SEP}(?P<s>{_N}){_NOT_TIME}"
    rf"(?:\s*(?:/|over|-|和|,?\s*低压)\s*(?P<d>{_N}))?"
)
_AGE_YEARS = re.compile(rf"(?P<n>{_N})\s*(?:周岁|岁)(?P<half>半)?")
_AGE_MONTHS_ZH = re.compile(
    rf"(?P<n>{_N})个(?P<half>半)?月(?:大|的?(?:宝宝|孩子|婴儿|娃|女儿|儿子))"
    rf"|(?:宝宝|宝贝|婴儿|孩子|小孩|娃|女儿|儿子)(?:才|刚|刚满|满|已经|现在|今年)*"
    rf"(?P<n2>{_N})个(?P<half2>半)?月(?!前|没|以来|了)"
)
_AGE_DAYS_ZH = re.compile(
    rf"(?:宝宝|宝贝|新生儿|婴儿|孩子|娃|出生|生下来|小儿)(?:才|刚|刚满|满|已经|现在|出生|生下来)*"
    rf"(?P<n>{_N})(?P<unit>天|日|周)(?!前|没|以来|了)|(?P<n2>{_N})(?P<unit2>天|周)大"
)
_AGE_EN = re.compile(
    r"(?<![\d.])(?P<n>\d{1,3}(?:\.\d{1,2})?)[\s-]{0,3}(?P<unit>years?|yrs?|y/?o|months?|mo|weeks?|wk|days?)?"
    r"[\s-]*(?:old|/o|y/?o)\b"
)
_AGE_EN_SHORT = re.compile(r"(?:\b(?P<a>\d{1,3})\s?(?:yo|y/o|yr)|^\s*(?P<b>\d{1,3})\s?[fm])\b")
_OLDEST = 125
_YEARS = {"y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_FEMALE = re.compile(
    r"女性|女孩|女宝|女士|我是女|[,。 ]女[,。 ]|^女[,。 ]|\bfemale\b|\bwoman\b|\bgirl\b|\blady\b"
)
_MALE = re.compile(
    r"男性|男孩|男宝|我是男|[,。 ]男[,。 ]|^男[,。 ]|\bmale\b|\bman\b|\bboy\b|\bgentleman\b"
)


def find_values(text: str) -> list[Value]:
    """Vital signs and like values in normalised text, in order; no two overlap."""
    found: list[Value] = []

    def keep(name: str, number: float | None, start: int, end: int) -> None:
        if number is None:
            return
        low, high = PLAUSIBLE[name]
        taken = any(v.name == name and v.start < end and start < v.end for v in found)
        if low <= number <= high and not taken:
            found.append(Value(name, round(number, 2), start, end))

    for name, pattern, convert in _PATTERNS:
        for match in pattern.finditer(text):
            number = parse_number(match["n"])
            tail = match.groupdict().get("tail")
            if number is not None and tail:
                number += 0.5 if tail == "半" else (parse_number(tail) or 0) / 10
            keep(name, None if number is None else convert(number), *match.span())
    for match in _PRESSURE.finditer(text):
        keep("systolic_bp", parse_number(match["s"]), *match.span())
        if match["d"]:
            keep("diastolic_bp", parse_number(match["d"]), *match.span())
    return sorted(found, key=lambda v: v.start)


def find_ages_years(text: str) -> list[float]:
    """Every stated age in years, from normalised text, in order and each once."""
    found: list[tuple[int, float]] = []
    for match in _AGE_MONTHS_ZH.finditer(text):
        months = parse_number(match["n"] or match["n2"])
        if months is not None:
            half = 0.5 if match["half"] or match["half2"] else 0.0
            found.append((match.start(), (months + half) / 12))
    for match in _AGE_DAYS_ZH.finditer(text):
        count = parse_number(match["n"] or match["n2"])
        if count is not None:
            days = count * (7 if (match["unit"] or match["unit2"]) == "周" else 1)
            found.append((match.start(), days / 365.25))
    for match in _AGE_YEARS.finditer(text):
        years = parse_number(match["n"])
        if years is not None:
            found.append((match.start(), years + (0.5 if match["half"] else 0.0)))
    for match in _AGE_EN.finditer(text):
        unit = _YEARS[(match["unit"] or "y")[0]]
        found.append((match.start(), float(match["n"]) * unit))
    found.extend((m.start(), float(m["a"] or m["b"])) for m in _AGE_EN_SHORT.finditer(text))
    return list(dict.fromkeys(age for _, age in sorted(found) if age <= _OLDEST))


def find_sex(text: str) -> Sex | None:
    """The stated sex, None where neither or both are named."""
    female, male = bool(_FEMALE.search(text)), bool(_MALE.search(text))
    if female == male:
        return None
    return "female" if female else "male"
