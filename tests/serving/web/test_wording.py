"""Spans, ages, shares and moments read naturally in both languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from serving.web import wording


@pytest.mark.parametrize(
    ("length", "zh", "en"),
    [
        (timedelta(seconds=20), "不到1分钟", "under 1 min"),
        (timedelta(minutes=65), "1小时5分钟", "1 h 5 min"),
        (timedelta(days=2, hours=3, minutes=4), "2天3小时", "2 d 3 h"),
        (timedelta(minutes=-7), "7分钟", "7 min"),
        (3600.0, "1小时", "1 h"),
    ],
)
def test_a_span_names_its_two_largest_units(length: timedelta | float, zh: str, en: str) -> None:
    assert wording.span(length, "zh") == zh
    assert wording.span(length, "en") == en


def test_ages_below_two_are_in_months() -> None:
    assert wording.age(0.5, "zh") == "6个月"
    assert wording.age(3, "en") == "3 years"


def test_what_is_not_known_is_a_dash() -> None:
    assert wording.percent(None) == wording.number(None) == "–"
    assert wording.percent(0.523, 1) == "52.3 %"


def test_a_moment_is_sent_in_utc_for_the_browser_to_convert() -> None:
    shown = wording.moment(datetime(2026, 11, 22, 7, 5, tzinfo=UTC))
    assert 'datetime="2026-11-22T07:05:00+00:00"' in shown
    assert "2026-11-22 07:05 UTC" in shown
