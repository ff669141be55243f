"""Whose words these are: ages and sexes as people write them, "28F" and 男/45岁 among them.

A number beside F or M is an age unless a word for a vital sign stands before it; which numbers
are measurements is `values.py`. It never guesses: an age or a sex is stated or it is None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowledge_base.rules.facts import Sex
from models.text.measured import is_named
from models.text.numbers import NUMBER, parse_number, with_digits

_N = NUMBER
_AGE_YEARS = re.compile(rf"(?P<n>{_N})\s*(?:周岁|岁)(?P<half>半)?")
_AGE_MONTHS_ZH = re.compile(
    rf"(?P<n>{_N})个(?P<half>半)?月(?:大|的?(?:宝宝|孩子|婴儿|娃|女儿|儿子))"
    rf"|(?:宝宝|宝贝|婴儿|孩子|小孩|娃|女儿|儿子)(?:才|刚|满|已经|现在|今年){{0,6}}"
    rf"(?P<n2>{_N})个(?P<half2>半)?月(?!前|没|以来|了)"
)
_AGE_DAYS_ZH = re.compile(
    rf"(?:宝宝|宝贝|新生儿|婴儿|孩子|娃|出生|生下来|生后|日龄|小儿)"
    rf"(?:才|刚|满|已经|现在|出生|生下来|生后|第|后){{0,6}}"
    rf"(?P<n>{_N})[多来]?(?P<unit>天|日|周)(?!前|没|以来|了)|(?P<n2>{_N})(?P<unit2>天|周)大"
    # At the head of its part alone: in 发烧3天的宝宝 the fever is three days old.
    rf"|(?:^|(?<=[,。;!?\s家]))(?P<n3>{_N})[多来]?(?P<unit3>天|周)的(?:小?宝宝|婴儿|新生儿|孩子|娃)"
)
_AGE_EN = re.compile(
    r"(?<![\d.])(?P<n>\d{1,3}(?:\.\d{1,2})?)[\s-]{0,20}(?P<unit>years?|yrs?|y/?o|months?|mo|weeks?|wk|days?)?"
    r"[\s-]*(?:old|/o|y/?o)\b"
)
_AGE_EN_SHORT = re.compile(r"\b(?P<n>\d{1,3})\s?(?:yo|y/o|yr)\b")
_ONE_MONTH = re.compile(
    r"(?:宝宝|宝贝|孩子|婴儿|娃)?(?:才|刚|刚刚|刚出)满月|满月的?(?:宝宝|孩子|婴儿|娃)|出满月"
)
_KIN_EN = (
    r"he|she|i|(?:(?:my|our|the) )?(?:mother|father|mum|mom|dad|husband|wife|son|daughter|baby"
    r"|child|kid|grandmother|grandfather|grandma|grandpa|gran|brother|sister|patient)"
)
_AGE_SAID_EN = re.compile(
    rf"(?<![a-z])(?:{_KIN_EN})(?:'s|'m| is| am)"
    r"(?: now| only| just| already| about| almost| nearly)?"
    r" (?P<n>\d{1,3})\s*(?=[,;!?)]|\.(?!\d)|$|(?:and|with|but|now|who|has|had|male|female)\b)"
)
_KIN_ZH = (
    "他|她|我|妈|爸|爹|娘|母亲|父亲|爷爷|奶奶|外公|外婆|姥姥|姥爷"
    "|老公|老婆|丈夫|妻子|老人|儿子|女儿|孩子|宝宝"
)
_BARE_ZH = r"(?:\d{1,3}|[一二三四五六七八九]?十[一二三四五六七八九]?)"
_AGE_SAID_ZH = re.compile(
    rf"(?:(?:{_KIN_ZH})(?:今年|现在|已经|都|快|才|刚|也){{0,6}}(?P<n>{_BARE_ZH})了"
    rf"|今年(?:已经|都|才|刚)?(?P<n2>{_BARE_ZH})了?)(?=\s*[,。.;!?、\n]|$)"
)
"""He is 58, 他58了: a bare number said of a person, with nothing measured behind it."""
_OLDEST = 125
_YEARS = {"y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_FEMALE = re.compile(
    r"女性|女孩|女宝|女士|我是女|[,。 ]女[,。 ]|^女[,。 ]|\bfemale\b|\bwoman\b|\bgirl\b|\blady\b"
)
_MALE = re.compile(
    r"男性|男孩|男宝|我是男|[,。 ]男[,。 ]|^男[,。 ]|\bmale\b|\bman\b|\bboy\b|\bgentleman\b"
)


@dataclass(frozen=True)
class Person:
    """An age and a sex that stand together, and where."""

    age_years: float
    sex: Sex
    start: int
    end: int


_BEGINS = r"(?<!\d\.)(?:^|(?<=[,.;:(/\n\u2013\u2014-])|(?<=[,.;:(\u2013\u2014-] ))"
_ENDS = r"(?=\s*(?:[,.;:)/\n\u2013\u2014-]|$|w/|with\b|c/o\b|who\b|has\b|had\b|here\b|presents\b))"
_OLD = r"(?:yo|y/o|yrs?|years?[ -]old)"
_NO_UNIT = (
    r"(?![\d.]*\d|\s?(?:%|cm\b|mm\b|mg\b|kg\b|wks?\b|weeks?|months?|days?|hours?|hrs?|min|x\b))"
)
_TOGETHER = [
    re.compile(pattern)
    for pattern in (
        # 28 yo F, 28yoM
        rf"(?<![\d.])(?P<n>\d{{1,3}})[\s-]?{_OLD}[\s/,-]{{0,2}}(?P<s>[FfMm])\b",
        # 28F; a lower-case m is metres or months unless a sentence begins with it
        r"(?<![\d.])(?P<n>[1-8]?\d)\s?[-/]?\s?(?P<s>F)\b",
        rf"(?<![\d.])(?P<n>[1-9]?\d)\s?[-/]?\s?(?P<s>M)\b{_ENDS}",
        rf"{_BEGINS}(?P<n>[1-8]?\d)\s?[-/]?\s?(?P<s>f)\b{_ENDS}",
        rf"(?:^|[.!?\n] ?)(?<!\d\.)(?P<n>[1-9]?\d)\s?(?P<s>[FfMm])\b{_ENDS}",
        r"^\s*(?P<n>[1-8]\d)\s?(?P<s>[fm])\b",
        r"(?<![\d.])(?P<n>[1-9]?\d)/(?P<s>[FfMm])\b",
        # From 90 on an F may be a fever: only after a word for a person.
        r"\b(?i:a|an|pt|patient|resident|lady|woman),? (?P<n>9\d)\s?(?P<s>F)\b",
        # F 28, F/28, M, 34
        rf"{_BEGINS}(?P<s>[FM])[\s/,-]{{1,2}}(?P<n>\d{{1,3}})\b{_NO_UNIT}",
        rf"{_BEGINS}(?P<s>[fm])/(?P<n>\d{{1,3}})\b{_NO_UNIT}",
        r"\b(?P<s>[Ff]emale|[Mm]ale|[Ww]oman|[Mm]an|[Ll]ady|[Gg]irl|[Bb]oy)"
        rf"(?:,? aged |,? of |[,\s/]{{1,2}})(?P<n>\d{{1,3}})\b{_ENDS}",
        # 男/45岁, 女，30，45/男
        r"(?<![\u4e00-\u9fff])(?:患者|病人)?[,:]?(?P<s>[男女])(?:性|士)?[\s/,、:]{0,2}(?P<n>\d{1,3})"
        r"(?=\s*(?:[,。;/)、\n]|$|周?岁|\s(?![天周月年次个小分秒度])[\u4e00-\u9fff]))",
        r"(?<![\d.])(?P<n>\d{1,3})\s?(?:周?岁)?[\s/,、]{0,2}(?P<s>[男女])(?:性)?(?=[\s,。;:/)、\n]|$|患)",
    )
]
_NEAR = 60
"""Characters before a number in which a word for temperature speaks of it."""
_MEASURED = re.compile(
    r"(?:temperature|temp|fever|体温|烧)[^.,;!?\n。]{0,40}$|\bt[ :=]{0,3}$", re.IGNORECASE
)
_BODY_C = (34, 43)
_FEVER = re.compile(r"(?<![a-z])temp|fever|体温|烧|热")
_SEXES: dict[str, Sex] = {
    "f": "female", "w": "female", "l": "female", "g": "female", "女": "female",
    "m": "male", "b": "male", "男": "male",
}  # fmt: skip


def find_people(text: str) -> list[Person]:
    """Ages beside a sex in text folded in all but case, in order; capitals say more (28F, 4M)."""
    found: dict[int, Person] = {}
    for pattern in _TOGETHER:
        for match in pattern.finditer(text):
            years = float(match["n"])
            if years > _OLDEST or _is_measured(text, match.start("n")):
                continue
            person = Person(years, _SEXES[match["s"][0].lower()], *match.span())
            found.setdefault(match.start("n"), person)
    return [found[place] for place in sorted(found)]


def _is_measured(text: str, start: int) -> bool:
    """Whether a word for a vital sign speaks of the number that starts here."""
    return is_named(text, start) or bool(
        _MEASURED.search(text, max(0, start - _NEAR), max(0, start))
    )


def _may_be_celsius(text: str, start: int, number: float) -> bool:
    """Whether a bare number is what a thermometer shows and the words before speak of fever."""
    low, high = _BODY_C
    return low <= number <= high and bool(_FEVER.search(text, max(0, start - _NEAR), start))


def find_ages_years(text: str) -> list[float]:
    """Every stated age in years, from folded text, in order and each once."""
    found: list[tuple[int, float]] = [(m.start(), 1 / 12) for m in _ONE_MONTH.finditer(text)]
    found += [(p.start, p.age_years) for p in find_people(text)]
    text = with_digits(text.lower())
    for match in _AGE_MONTHS_ZH.finditer(text):
        months = parse_number(match["n"] or match["n2"])
        if months is not None:
            half = 0.5 if match["half"] or match["half2"] else 0.0
            found.append((match.start(), (months + half) / 12))
    for match in _AGE_DAYS_ZH.finditer(text):
        count = parse_number(match["n"] or match["n2"] or match["n3"])
        if count is not None:
            unit = match["unit"] or match["unit2"] or match["unit3"]
            days = count * (7 if unit == "周" else 1)
            found.append((match.start(), days / 365.25))
    for match in _AGE_YEARS.finditer(text):
        years = parse_number(match["n"])
        if years is not None:
            found.append((match.start(), years + (0.5 if match["half"] else 0.0)))
    for match in _AGE_EN.finditer(text):
        unit = _YEARS[(match["unit"] or "y")[0]]
        found.append((match.start(), float(match["n"]) * unit))
    for match in (*_AGE_SAID_EN.finditer(text), *_AGE_SAID_ZH.finditer(text)):
        years = parse_number(match["n"] or match.groupdict().get("n2") or "")
        if years is not None and not _may_be_celsius(text, match.start(), years):
            found.append((match.start(), years))
    found.extend((m.start(), float(m["n"])) for m in _AGE_EN_SHORT.finditer(text))
    return list(dict.fromkeys(age for _, age in sorted(found) if age <= _OLDEST))


def find_sex(text: str) -> Sex | None:
    """The stated sex, None where neither or both are named."""
    stated = {person.sex for person in find_people(text)}
    text = text.lower()
    female = "female" in stated or bool(_FEMALE.search(text))
    male = "male" in stated or bool(_MALE.search(text))
    if female == male:
        return None
    return "female" if female else "male"
