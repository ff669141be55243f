"""Identifiers sort by time, cannot be guessed, and come out the same from the same sources."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from serving.clock import FixedClock, Ids, SystemClock


def test_ids_sort_by_the_time_they_were_made() -> None:
    clock = FixedClock()
    ids = Ids(clock)
    made = []
    for _ in range(50):
        made.append(ids.new("dec"))
        clock.advance(0.001)
    assert made == sorted(made)


def test_an_id_is_its_prefix_and_26_characters_of_base_32() -> None:
    assert re.fullmatch(r"dec_[0-9A-HJKMNP-TV-Z]{26}", Ids(SystemClock()).new("dec"))


def test_a_known_ulid_is_spelled_as_the_specification_says() -> None:
    clock = FixedClock(datetime.fromtimestamp(1469918176.385, tz=UTC))
    assert Ids(clock, lambda n: b"\xff" * n).new("x") == "x_01ARYZ6S41ZZZZZZZZZZZZZZZZ"


def test_ids_of_one_moment_differ() -> None:
    ids = Ids(FixedClock())
    assert len({ids.new("con") for _ in range(10_000)}) == 10_000


def test_the_same_sources_make_the_same_ids() -> None:
    one, two = (Ids(FixedClock(), lambda n: bytes(range(n))) for _ in range(2))
    assert one.new("dec") == two.new("dec")
    assert one.secret() == two.secret()


def test_a_secret_is_43_url_safe_characters() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", Ids(SystemClock()).secret())


def test_a_fixed_clock_moves_only_forward_and_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    assert clock.advance(timedelta(minutes=1)) == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        FixedClock(datetime(2026, 1, 1))


def test_the_system_clock_is_aware() -> None:
    assert SystemClock().now().tzinfo is UTC
