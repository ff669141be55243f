"""Duty hours mean the same however they are written, over midnight and over the week's end."""

from __future__ import annotations

from datetime import datetime

import pytest

from models.matching.duty import parse_duty

MONDAY_NINE = datetime(2026, 11, 23, 9, 0)


def at(day: int, clock: str) -> datetime:
    """A moment of the week of Monday 23 November 2026; day 0 is Monday."""
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 11, 23 + day, hour, minute)


@pytest.mark.parametrize(
    "text",
    [
        "mon-fri 08:00-12:00,14:00-17:30;sat 08:00-12:00",
        "Mon-Fri 08:00 - 12:00, 14:00-17:30; Sat 8:00-12:00",
        "周一至周五 08：00-12：00，14：00-17：30；周六 08:00-12:00",
        "星期一~星期五 08:00-12:00、14:00-17:30;星期六 08:00-12:00",
    ],
)
def test_however_written_the_hours_are_the_same(text: str) -> None:
    duty = parse_duty(text)
    assert duty.covers(at(0, "08:00"))
    assert duty.covers(at(4, "17:29"))
    assert duty.covers(at(5, "11:59"))
    assert not duty.covers(at(0, "07:59"))
    assert not duty.covers(at(0, "12:00")), "the end is excluded"
    assert not duty.covers(at(5, "14:00"))
    assert not duty.covers(at(6, "09:00"))


def test_a_night_runs_past_midnight_and_past_the_end_of_the_week() -> None:
    duty = parse_duty("fri,sun 22:00-06:00")
    assert duty.covers(at(4, "23:00"))
    assert duty.covers(at(5, "05:59"))
    assert not duty.covers(at(5, "06:00"))
    assert duty.covers(at(6, "22:00"))
    assert duty.covers(at(0, "03:00")), "Sunday's night is Monday's morning"
    assert not duty.covers(at(1, "03:00"))


def test_days_may_wrap_around_the_weekend() -> None:
    duty = parse_duty("sat-mon 08:00-24:00")
    assert [duty.covers(at(day, "23:59")) for day in range(7)] == [
        True, False, False, False, False, True, True
    ]  # fmt: skip


def test_always_and_off() -> None:
    assert parse_duty("always").covers(at(6, "03:00"))
    assert not parse_duty("off").covers(MONDAY_NINE)


@pytest.mark.parametrize(
    "text",
    ["", ";", "mon", "monday 08:00-12:00", "mon 8-12", "mon 25:00-26:00", "mon 08:00-08:00",
     "mon 08:00", "mon-xxx 08:00-12:00", "08:00-12:00", "- 08:00-12:00"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours|days"):
        parse_duty(text)


def test_what_was_read_reads_back_the_same() -> None:
    duty = parse_duty("周一至周五 08:00-12:00；周日 22:00-06:00")
    assert parse_duty(duty.text) == duty
