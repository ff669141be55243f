"""Whatever is done to the chain after it was written is found, and said where."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving import audit
from serving.audit import AuditHead
from serving.clock import FixedClock
from serving.storage.canonical import canonical, sha256_of
from serving.storage.database import Database

pytest_plugins = ["tests.serving.storage.databases"]


@pytest.fixture
def chain(db: Database, clock: FixedClock) -> Database:
    """A chain of ten events."""
    for number in range(1, 11):
        clock.advance(1)
        write(db, f"task_{number}", {"n": number, "share": 0.1 * number})
    return db


def write(db: Database, subject: str, detail: dict[str, int | float] | None = None) -> AuditHead:
    with db.write() as session:
        return audit.append(
            session,
            at=db.clock.now(),
            actor="usr_1",
            action="test.done",
            subject=subject,
            detail=detail,
        )


def tamper(db: Database, *statements: str) -> None:
    """What somebody with the database's own password could do."""
    with db.write() as session:
        connection = session.connection()
        if db.is_sqlite:
            connection.exec_driver_sql("DROP TRIGGER audit_events_no_update")
            connection.exec_driver_sql("DROP TRIGGER audit_events_no_delete")
        else:
            connection.exec_driver_sql("DROP TRIGGER audit_events_append_only ON audit_events")
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_an_untouched_chain_is_in_order(chain: Database) -> None:
    report = audit.verify(chain)
    assert report.ok
    assert report.events == 10
    assert (report.first_bad_seq, report.reason) == (None, None)


def test_an_empty_chain_is_in_order(db: Database) -> None:
    assert audit.verify(db).ok
    assert audit.head(db) == AuditHead(0, audit.GENESIS)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events"]
)
def test_the_database_itself_refuses_to_change_or_delete_events(
    chain: Database, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="append-only"), chain.write() as session:
        session.execute(text(statement))
    assert audit.verify(chain).ok


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'usr_2'",
        "action = 'test.undone'",
        "subject = 'task_9'",
        """detail = '{"n":5}'""",
        "at = '2026-01-01 00:00:06.000000'",
        "hash = prev_hash",
    ],
)
def test_any_edit_of_an_event_is_found_where_it_is(chain: Database, change: str) -> None:
    tamper(chain, f"UPDATE audit_events SET {change} WHERE seq = 5")
    report = audit.verify(chain)
    assert (report.ok, report.first_bad_seq, report.events) == (False, 5, 4)
    assert report.reason is not None
    assert "changed" in report.reason


def test_a_forged_event_with_a_sound_hash_and_link_breaks_the_chain_after_it(
    chain: Database,
) -> None:
    genuine = next(event for event in audit.list_events(chain) if event.seq == 5)
    forged = sha256_of(
        {
            "seq": 5,
            "at": genuine.at.isoformat(timespec="microseconds"),
            "actor": "usr_forger",
            "action": genuine.action,
            "subject": genuine.subject,
            "detail": canonical(genuine.detail).decode(),
            "prev_hash": genuine.prev_hash,
        }
    )
    tamper(
        chain,
        f"UPDATE audit_events SET actor = 'usr_forger', hash = '{forged}' WHERE seq = 5",
        f"UPDATE audit_events SET prev_hash = '{forged}' WHERE seq = 6",
    )
    report = audit.verify(chain)
    assert (report.ok, report.first_bad_seq) == (False, 6)


def test_a_missing_event_is_called_missing(chain: Database) -> None:
    tamper(chain, "DELETE FROM audit_events WHERE seq = 4")
    assert audit.verify(chain).reason == "an event is missing"


@pytest.mark.parametrize(
    ("statements", "first_bad"),
    [
        (["DELETE FROM audit_events WHERE seq = 4"], 4),
        (["DELETE FROM audit_events WHERE seq = 1"], 1),
        (["DELETE FROM audit_events WHERE seq = 10"], 10),
        (["DELETE FROM audit_events WHERE seq > 3"], 4),
        (["DELETE FROM audit_events"], 1),
        (
            [
                "DELETE FROM audit_events WHERE seq = 4",
                "UPDATE audit_events SET seq = seq - 1 WHERE seq = 5",
            ],
            4,
        ),
    ],
    ids=["middle", "first", "last", "tail", "all", "renumbered"],
)
def test_a_deletion_is_found_wherever_it_is(
    chain: Database, statements: Sequence[str], first_bad: int
) -> None:
    tamper(chain, *statements)
    report = audit.verify(chain)
    assert (report.ok, report.first_bad_seq) == (False, first_bad)


def test_a_cut_tail_with_its_head_set_back_is_found_by_an_anchor(chain: Database) -> None:
    anchor = audit.head(chain)
    tamper(
        chain,
        "DELETE FROM audit_events WHERE seq > 7",
        "UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit_events WHERE seq = 7)",
    )
    assert audit.verify(chain).ok, "nothing inside the database tells"
    assert audit.verify(chain, anchor=anchor).first_bad_seq == 8


def test_a_rewritten_chain_does_not_pass_through_the_anchor(chain: Database) -> None:
    anchor = audit.head(chain)
    tamper(
        chain,
        "DELETE FROM audit_events WHERE seq > 7",
        "UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit_events WHERE seq = 7)",
    )
    for _ in range(5):
        write(chain, "forged")
    assert audit.verify(chain).ok
    report = audit.verify(chain, anchor=anchor)
    assert (report.ok, report.first_bad_seq) == (False, anchor.seq)


def test_a_growing_chain_still_passes_through_an_old_anchor(chain: Database) -> None:
    anchor = audit.head(chain)
    write(chain, "later")
    assert audit.verify(chain, anchor=anchor).ok


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM audit_head", f"UPDATE audit_head SET hash = '{'a' * 64}'"],
)
def test_a_head_that_is_lost_or_wrong_is_found(chain: Database, statement: str) -> None:
    tamper(chain, statement)
    report = audit.verify(chain)
    assert not report.ok
    assert report.reason is not None
    assert "head" in report.reason


def test_an_event_of_a_transaction_that_fails_leaves_no_gap(chain: Database) -> None:
    def crash() -> None:
        with chain.write() as session:
            audit.append(session, at=chain.clock.now(), actor="a", action="b", subject="c")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        crash()
    assert write(chain, "next").seq == 11
    assert audit.verify(chain).ok


def test_several_events_of_one_transaction_follow_each_other(db: Database) -> None:
    with db.write() as session:
        seqs = [
            audit.append(session, at=db.clock.now(), actor="a", action="b", subject="c").seq
            for _ in range(3)
        ]
    assert seqs == [1, 2, 3]
    assert audit.verify(db).ok


def test_threads_append_to_one_chain(db: Database) -> None:
    def work() -> None:
        for _ in range(20):
            write(db, "x")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = audit.verify(db)
    assert (report.ok, report.events) == (True, 80)


@pytest.mark.parametrize("words", ["头痛三天", "the patient said", "x" * 129, "a\nb"])
def test_free_text_is_refused(db: Database, words: str) -> None:
    for detail in ({"note": words}, {"notes": [words]}, {words: 1}):
        with pytest.raises(ValueError, match="codes only"), db.write() as session:
            audit.append(
                session, at=db.clock.now(), actor="a", action="b", subject="c", detail=detail
            )
    assert audit.head(db).seq == 0


def test_events_are_listed_newest_first_by_filter_and_page(chain: Database) -> None:
    events = audit.list_events(chain, limit=4)
    assert [event.seq for event in events] == [10, 9, 8, 7]
    assert [event.seq for event in audit.list_events(chain, before=7, limit=2)] == [6, 5]
    (only,) = audit.list_events(chain, subject="task_3")
    assert only.detail == {"n": 3, "share": 0.1 * 3}
    assert audit.list_events(chain, actor="nobody") == []
    assert audit.list_events(chain, action="other") == []
