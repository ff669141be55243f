"""Workers share out the cores and never ask for more than there are."""

from __future__ import annotations

import pytest

from serving.engine.cores import available, plan


def test_one_worker_has_every_core_and_is_not_pinned() -> None:
    assert plan(1, None, range(8)) == (8, [()])
    assert plan(1, 2, range(8)) == (2, [()])


def test_several_workers_have_cores_of_their_own() -> None:
    threads, pins = plan(3, 2, (1, 3, 5, 7, 9, 11, 13))
    assert threads == 2
    assert pins == [(1, 3), (5, 7), (9, 11)]
    assert plan(2, None, range(5)) == (2, [(0, 1), (2, 3)])


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(ValueError, match="need 6 cores; there are 4"):
        plan(2, 3, range(4))
    with pytest.raises(ValueError, match="need 3 cores"):
        plan(3, None, range(2))


def test_this_machine_has_cores() -> None:
    assert plan(1, None, available())[0] >= 1
