"""The figures of the queue are those that a count by hand gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from serving.clock import FixedClock
from serving.decisions import DecisionRecord
from serving.reviews import queue, sign
from serving.reviews.statistics import statistics_of
from serving.storage.codes import OverrideReason, Reason
from serving.storage.database import Database
from serving.users import User

pytest_plugins = ["tests.serving.storage.databases"]

Decide = Callable[..., DecisionRecord]


def close(db: Database, record: DecisionRecord, reader: User, *, agree: bool) -> None:
    lease = queue.claim(db, record.review_task_id or "", reader)
    if agree:
        sign.sign(db, lease.task_id, reader, lease.token)
    else:
        sign.override(db, lease.task_id, reader, lease.token, reason=OverrideReason.RULE_WRONG)


def test_an_empty_queue_has_no_shares_and_no_times(db: Database) -> None:
    figures = statistics_of(db)
    assert (figures.open, figures.leased, figures.signed, figures.overridden) == (0, 0, 0, 0)
    assert figures.oldest_wait is None
    assert figures.median_turnaround is None
    assert figures.override_rate is None
    assert figures.agreement is None
    assert figures.waiting_by_reason == {}


def test_waiting_tasks_are_counted_by_state_reason_and_age(
    db: Database, decide: Decide, physician: User, clock: FixedClock
) -> None:
    crisis = decide(Reason.CRISIS)
    clock.advance(timedelta(minutes=4))
    decide(Reason.ABSTAINED, Reason.LOW_CONFIDENCE)
    decide(Reason.ABSTAINED)
    queue.claim(db, crisis.review_task_id or "", physician)
    clock.advance(timedelta(minutes=2))
    figures = statistics_of(db)
    assert (figures.open, figures.leased, figures.overdue) == (2, 1, 1)
    assert figures.oldest_wait == timedelta(minutes=6)
    assert figures.waiting_by_reason == {
        Reason.CRISIS: 1,
        Reason.ABSTAINED: 2,
        Reason.LOW_CONFIDENCE: 1,
    }
    clock.advance(queue.LEASE)
    assert (statistics_of(db).open, statistics_of(db).leased) == (3, 0)


def test_signatures_give_turnaround_override_rate_and_agreement_on_the_sample(
    db: Database, decide: Decide, physician: User, clock: FixedClock
) -> None:
    sampled = [decide(Reason.RANDOM_SAMPLE) for _ in range(3)]
    chosen = [decide(Reason.ABSTAINED) for _ in range(2)]
    for minutes, record, agree in (
        (1, sampled[0], True),
        (2, sampled[1], True),
        (3, sampled[2], False),
        (4, chosen[0], False),
        (6, chosen[1], False),
    ):
        clock.advance(timedelta(minutes=minutes))
        close(db, record, physician, agree=agree)
    figures = statistics_of(db)
    assert (figures.signed, figures.overridden, figures.sampled) == (2, 3, 3)
    assert figures.median_turnaround == timedelta(minutes=6)
    assert figures.override_rate == pytest.approx(3 / 5)
    assert figures.agreement == pytest.approx(2 / 3)
    assert (figures.open, figures.oldest_wait) == (0, None)


def test_signatures_before_the_window_do_not_count(
    db: Database, decide: Decide, physician: User, clock: FixedClock
) -> None:
    close(db, decide(Reason.ABSTAINED), physician, agree=True)
    clock.advance(timedelta(days=31))
    close(db, decide(Reason.ABSTAINED), physician, agree=False)
    assert (statistics_of(db).signed, statistics_of(db).overridden) == (0, 1)
    assert statistics_of(db, window=timedelta(days=60)).signed == 1
