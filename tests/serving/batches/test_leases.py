"""Several servers on one database: one of them works on a batch, and who comes late changes
nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from serving import audit, users
from serving.clock import FixedClock
from serving.errors import IllegalMove, LeaseLost, NotFound
from serving.storage import batch_items, batch_leases, batches
from serving.storage.batch_items import BatchStopped
from serving.storage.codes import BatchState, Role, StopReason
from serving.storage.database import Database
from serving.users import User
from tests.serving.batches.test_records import FOLDER, KEEP, LEASE, create, decide, running

pytest_plugins = ["tests.serving.storage.databases"]


@pytest.fixture
def owner(db: Database) -> User:
    return users.create(db, name="管理员", role=Role.ADMINISTRATOR).user


def claim(db: Database, batch_id: str) -> int | None:
    return batch_leases.claim(db, batch_id, lease_for=LEASE)


def test_of_many_servers_that_claim_at_once_one_gets_the_batch(db: Database, owner: User) -> None:
    batch = create(db, owner)
    with ThreadPoolExecutor(8) as servers:
        tokens = list(servers.map(lambda _: claim(db, batch.id), range(16)))
    assert [token for token in tokens if token is not None] == [1]


def test_a_batch_is_another_servers_only_once_the_lease_has_run_out(
    db: Database, owner: User, clock: FixedClock
) -> None:
    batch = running(db, owner)
    clock.advance(LEASE - timedelta(seconds=1))
    assert batch_leases.renew(db, batch.id, 1, lease_for=LEASE)
    clock.advance(LEASE - timedelta(seconds=1))
    assert claim(db, batch.id) is None
    assert batches.unclaimed(db, FOLDER) == []
    clock.advance(1)
    assert [found.id for found in batches.unclaimed(db, FOLDER)] == [batch.id]
    assert claim(db, batch.id) == 2


def test_who_comes_back_late_records_ends_and_cancels_nothing(
    db: Database, owner: User, clock: FixedClock
) -> None:
    batch = running(db, owner, items=2)
    decide(db, batch, 1, owner)
    clock.advance(LEASE)
    token = claim(db, batch.id)
    assert token == 2
    with pytest.raises(BatchStopped):
        decide(db, batch, 2, owner, token=1)
    assert not batch_leases.renew(db, batch.id, 1, lease_for=LEASE)
    batch_leases.release(db, batch.id, 1)
    assert claim(db, batch.id) is None, "the late one let go of another's lease"
    with pytest.raises(LeaseLost):
        batches.cancel(
            db, batch.id, actor=audit.SYSTEM, reason=StopReason.INPUT_LOST, keep=KEEP, token=1
        )
    decide(db, batch, 2, owner, token=token)
    with pytest.raises(LeaseLost):
        batches.finish(db, batch.id, 1, keep=KEEP)
    batches.finish(db, batch.id, token, keep=KEEP)
    assert batches.get(db, batch.id, owner).state is BatchState.DONE
    assert batch_items.recorded(db, batch.id) == {1, 2}


def test_a_server_that_stops_lets_others_go_on_at_once(db: Database, owner: User) -> None:
    batch = running(db, owner)
    batch_leases.release(db, batch.id, 1)
    assert [found.id for found in batches.unclaimed(db, FOLDER)] == [batch.id]
    assert claim(db, batch.id) == 2


def test_only_those_who_share_the_folder_of_the_input_find_a_batch(
    db: Database, owner: User
) -> None:
    batch = create(db, owner)
    assert batches.unclaimed(db, "fld_of_another_host") == []
    assert [found.id for found in batches.unclaimed(db, FOLDER)] == [batch.id]


def test_a_batch_that_has_ended_is_nobodys(db: Database, owner: User) -> None:
    batch = running(db, owner)
    batches.cancel(db, batch.id, actor=owner.id, reason=StopReason.REQUESTED, keep=KEEP)
    assert not batch_leases.renew(db, batch.id, 1, lease_for=LEASE)
    assert batches.unclaimed(db, FOLDER) == []
    with pytest.raises(IllegalMove):
        claim(db, batch.id)
    batches.remove(db, batch.id, actor=owner.id)
    with pytest.raises(NotFound):
        claim(db, batch.id)
