"""Refused uploads in the audit trail: codes and sizes, and a flood that stays a trickle."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from serving import audit
from serving.clock import FixedClock
from serving.ingest_metrics import IngestMetrics
from serving.refusals import REFUSED, Refusals
from serving.storage.database import Database

pytest_plugins = ["tests.serving.storage.databases"]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def refusals(db: Database, registry: CollectorRegistry) -> Refusals:
    return Refusals(db, IngestMetrics(registry))


def events(db: Database) -> list[audit.AuditEvent]:
    """Oldest first."""
    return list(reversed(audit.list_events(db, action=REFUSED)))


def test_a_refusal_is_an_event_with_its_code_and_size(refusals: Refusals, db: Database) -> None:
    refusals.note("usr_a", "truncated", 1234)
    (event,) = events(db)
    assert (event.actor, event.detail) == ("usr_a", {"reason": "truncated", "size": 1234})


def test_a_flood_is_ten_events_and_one_with_the_counts(
    refusals: Refusals, db: Database, clock: FixedClock, registry: CollectorRegistry
) -> None:
    for number in range(500):
        refusals.note("usr_a", "truncated" if number % 2 else "too_large", 10)
    refusals.note("usr_b", "animated", 1)
    assert len(events(db)) == 11  # another sender has room of his own
    clock.advance(61)
    refusals.note("usr_b", "animated", 1)
    last = events(db)[-2:]
    assert last[0].actor == "usr_a"
    assert last[0].detail == {
        "more": 490, "reasons": ["too_large:245", "truncated:245"], "size": 4900,
    }  # fmt: skip
    assert last[1].actor == "usr_b"
    assert audit.verify(db).ok
    counted = registry.get_sample_value("fenzhen_uploads_refused_total", {"reason": "truncated"})
    assert counted == 250


def test_what_was_only_counted_is_written_at_the_end(refusals: Refusals, db: Database) -> None:
    for _ in range(12):
        refusals.note("usr_a", "truncated", 5)
    refusals.flush()
    refusals.flush()
    assert [event.detail.get("more") for event in events(db)] == [None] * 10 + [2]
