"""What is expected of a batch follows what was seen of batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engine.service_time import ServiceTime


def test_a_line_is_found_from_a_few_batches() -> None:
    service = ServiceTime()
    for size in (1, 16, 4, 9, 16, 2):
        service.observe(size, 0.005 + 0.0005 * size)
    assert service.predict(1) == pytest.approx(0.0055, rel=1e-3)
    assert service.predict(16) == pytest.approx(0.013, rel=1e-3)


def test_batches_of_one_size_say_nothing_of_smaller_ones_and_bound_larger_ones() -> None:
    service = ServiceTime()
    service.observe(8, 0.02)
    service.observe(8, 0.02)
    assert service.predict(4) == pytest.approx(0.02)
    assert service.predict(16) == pytest.approx(0.04)


def test_a_machine_that_has_become_slow_is_noticed() -> None:
    service = ServiceTime()
    for _ in range(200):
        service.observe(4, 0.01)
    for _ in range(60):
        service.observe(4, 0.1)
    assert service.predict(4) > 0.09


@given(st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 100)), max_size=50))
def test_an_expectation_is_never_negative(seen: list[tuple[int, float]]) -> None:
    service = ServiceTime()
    for size, seconds in seen:
        service.observe(size, seconds)
    for size in (0, 1, 100, 10**8):
        assert service.predict(size) >= 0
