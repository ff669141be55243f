"""Console sessions: signed, expiring, and over when they are ended."""

from __future__ import annotations

from datetime import UTC, datetime

from serving.security import Sessions
from serving.storage.codes import Role
from serving.users import User

USER = User("usr_1", "Dr Li", Role.PHYSICIAN, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_cookie_names_its_user_until_it_expires() -> None:
    now = [1000.0]
    sessions = Sessions(b"key", 1, now=lambda: now[0])
    cookie = sessions.issue(USER)
    assert sessions.user_id(cookie) == "usr_1"
    now[0] += 3601
    assert sessions.user_id(cookie) is None


def test_a_forged_or_foreign_cookie_is_nobodys() -> None:
    sessions = Sessions(b"key", 1)
    cookie = sessions.issue(USER)
    assert sessions.user_id(cookie.replace("usr_1", "usr_2")) is None
    assert Sessions(b"other", 1).user_id(cookie) is None
    for odd in ("", ".", "a.b", "a.b.c", "usr_1.99999999999." + "0" * 64):
        assert sessions.user_id(odd) is None


def test_an_ended_session_stays_ended_for_every_copy() -> None:
    sessions = Sessions(b"key", 1)
    cookie = sessions.issue(USER)
    sessions.end(cookie)
    assert sessions.user_id(cookie) is None
