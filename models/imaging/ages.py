"""An age as it may be kept with a record that names nobody."""

from __future__ import annotations

import math

OLDEST_YEARS = 90
"""All older people are one group: 45 CFR 164.514(b)(2)(i)(C) removes ages over 89."""
MONTHS_BELOW_YEARS = 2
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
