"""Ages: as one may be kept with a record that names nobody, and whether two are of one person."""

from __future__ import annotations

import math

OLDEST_YEARS = 90
"""All older people are one group: 45 CFR 164.514(b)(2)(i)(C) removes ages over 89."""
MONTHS_BELOW_YEARS = 2
_TOLERANCE_YEARS = 1.0  # a birthday between two statements, or one of them in whole years
_ROUNDING = 0.06  # of a month: two decimals of a year, as an age in months is read, may lack this


def kept_age(years: float | None) -> float | None:
    """Whole years, at most 90; whole months below two years, in years with four decimals.

    No clinical rule here asks for more: populations are stated in whole years of age.
    """
    if years is None or not math.isfinite(years):
        return None
    if years >= OLDEST_YEARS:
        return float(OLDEST_YEARS)
    if years >= MONTHS_BELOW_YEARS:
        return float(math.floor(years))
    months = math.floor(max(years, 0.0) * 12 + _ROUNDING)
    return round(months / 12, 4)


def contradict(one: float | None, other: float | None) -> bool:
    """Whether two ages in years are known and cannot be of the same person."""
    return one is not None and other is not None and abs(one - other) > _TOLERANCE_YEARS
