"""A request that is sent again gets the same answer and has no second effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serving.clock import FixedClock
from serving.errors import IdempotencyConflict
from serving.storage import consults, idempotency
from serving.storage.database import Database
from serving.storage.idempotency import Answer, Request

pytest_plugins = ["tests.serving.storage.databases"]

REQUEST = Request("usr_1", "key-1", "POST", "/v1/triage", "a" * 64)
ANSWER = Answer(200, b'{"disposition":3}')


def answer(db: Database, request: Request = REQUEST) -> None:
    with db.write() as session:
        idempotency.remember(db, request, ANSWER, within=session)


def test_the_answer_is_remembered(db: Database) -> None:
    assert idempotency.recall(db, REQUEST) is None
    answer(db)
    assert idempotency.recall(db, REQUEST) == ANSWER


@pytest.mark.parametrize(
    "change", [{"method": "PUT"}, {"path": "/v1/acuity"}, {"body_sha256": "b" * 64}]
)
def test_a_key_serves_one_request_only(db: Database, change: dict[str, str]) -> None:
    answer(db)
    with pytest.raises(IdempotencyConflict):
        idempotency.recall(db, replace(REQUEST, **change))


def test_another_users_key_is_another_key(db: Database) -> None:
    answer(db)
    assert idempotency.recall(db, replace(REQUEST, user_id="usr_2")) is None


def test_the_slower_of_two_equal_requests_has_no_effect(db: Database) -> None:
    new = consults.create(db, {"n": 0}, actor="usr_app")
    answer(db)

    def effect() -> None:
        with db.write() as session:
            consults.save(
                db,
                new.consult.id,
                expected_version=1,
                state={"n": 1},
                status=new.consult.status,
                actor="usr_app",
                within=session,
            )
            idempotency.remember(db, REQUEST, ANSWER, within=session)

    with pytest.raises(IdempotencyConflict):
        effect()
    assert consults.load(db, new.consult.id, new.secret).state == {"n": 0}


def test_old_answers_are_forgotten(db: Database, clock: FixedClock) -> None:
    answer(db)
    later = clock.advance(3600)
    answer(db, replace(REQUEST, key="key-2"))
    assert idempotency.forget_before(db, later) == 1
    assert idempotency.recall(db, REQUEST) is None
    assert idempotency.recall(db, replace(REQUEST, key="key-2")) == ANSWER
