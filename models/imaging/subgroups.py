"""The groups of patients that figures are given for, one way for cards and for results."""

from __future__ import annotations

AGE_BANDS: tuple[tuple[int, int], ...] = ((0, 5), (6, 17), (18, 39), (40, 64), (65, 125))


def age_band(age_years: float) -> str:
    """The band that holds an age in years, such as `18-39`."""
    for low, high in AGE_BANDS:
        if age_years < high + 1:
            return f"{low}-{high}" if high < AGE_BANDS[-1][1] else f"{low}+"
    return f"{AGE_BANDS[-1][0]}+"


def subgroups_of(age_years: float | None, sex: str | None) -> tuple[str, ...]:
    """The names of the groups that a patient belongs to, such as `sex=female`, `age=40-64`."""
    found = []
    if sex:
        found.append(f"sex={sex}")
    if age_years is not None:
        found.append(f"age={age_band(age_years)}")
    return tuple(found)
