"""Ages as they are kept: years, months of infants, nobody above ninety."""

from __future__ import annotations

import pytest

from models.imaging.ages import kept_age


@pytest.mark.parametrize(
    ("years", "kept"),
    [
        (None, None),
        (float("nan"), None),
        (33.74, 33.0),
        (5.99, 5.0),
        (2.0, 2.0),
        (89.99, 89.0),
        (90.0, 90.0),
        (104.5, 90.0),
        (1.08, round(13 / 12, 4)),
        (0.58, round(7 / 12, 4)),
        (0.03, 0.0),
    ],
)
def test_an_age_is_kept_as_exactly_as_a_rule_needs(years: float | None, kept: float | None) -> None:
    assert kept_age(years) == kept


def test_an_age_that_was_kept_stays_what_it_is() -> None:
    for months in range(24):
        once = kept_age(months / 12)
        assert once == kept_age(once)
        assert once is not None
        assert round(once * 12) == months
