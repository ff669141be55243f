"""What people call a vital sign, and what may stand between that and its number.

For values and for ages: a number that a vital sign's own word names is nobody's age. Which
number is which value, and in what unit, is `values.py`.
"""

from __future__ import annotations

import re

from models.text.numbers import NUMBER

_EN_START = r"(?<![a-z])"
WORDS: dict[str, str] = {
    "heart_rate": rf"(?:心率|脉搏|心跳|{_EN_START}(?:heart rate|pulse(?: rate)?|hr))",
    "respiratory_rate": (
        rf"(?:呼吸频率|呼吸|{_EN_START}(?:respiratory rate|resp(?:irations)?|rr))"
    ),
    "spo2": (
        rf"(?:血氧饱和度|血氧|氧饱和度|脉氧|指氧|氧饱|{_EN_START}(?:spo2|sao2|o2 sat(?:uration)?|"
        r"oxygen(?: saturation| level)?|sats?))"
    ),
    "glucose_mmol_l": (
        "(?:空腹血糖|餐后血糖|血糖|blood sugar|blood glucose|fingerstick glucose|glucose)"
    ),
    "systolic_bp": rf"(?:血压|高压|收缩压|{_EN_START}(?:bp|blood pressure))",
    "diastolic_bp": "(?:低压|舒张压)",
    "weight_kg": rf"(?:体重|{_EN_START}(?:weighs?|weighing|weight|wt))",
}
"""Regular expressions of the words, by value name."""
SEPARATOR = (
    r"\s{0,3}(?:是|为|有|到了|到|在|都|高达|大概|大约|差不多|约|快|只有|只剩|才|升到|降到|掉到|飙到|"
    r"每分钟|一分钟|百分之|of|is|was|at|about|around|:|=|~){0,4}\s{0,3}"
)
_NEAR = 60
_FIRST_OF_TWO = rf"(?:{NUMBER}\s{{0,3}}(?:/|over|-|~|到|至|to)\s{{0,3}})?"
_NAMED = re.compile(
    rf"(?:{'|'.join(WORDS.values())}){SEPARATOR}{_FIRST_OF_TWO}$|\d\s?(?:/|out of)\s?$",
    re.IGNORECASE,
)


def is_named(text: str, start: int) -> bool:
    """Whether a vital sign's word stands before the number that starts here, or it follows a /."""
    return bool(_NAMED.search(text, max(0, start - _NEAR), max(0, start)))
