"""Whatever readers do in whatever order: no task is lost, each has one final effect, and an old
token changes nothing. The queue is compared, step by step, with a few lines of plain Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from serving import audit, decisions, users
from serving.clock import FixedClock
from serving.errors import FenzhenError
from serving.reviews import queue, sign, signatures
from serving.reviews.queue import Filters, Lease
from serving.storage.codes import OverrideReason, Reason, Role, TaskState
from serving.storage.database import Database
from serving.users import User
from tests.serving.storage.records import counting_ids, decide_in

READERS = st.integers(0, 2)
Act = Callable[[Database, str, User, int], object]


@dataclass
class Expected:
    """What the model knows of a task."""

    decision_id: str
    urgency: tuple[int, datetime, str]
    state: TaskState = TaskState.OPEN
    owner: str | None = None
    token: int = 0
    expires: datetime | None = None
    closed_by: str | None = None


class QueueMachine(RuleBasedStateMachine):
    """Random readers against the queue, on a real SQLite file."""

    leases = Bundle("leases")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FixedClock()
        self.db = Database(
            f"sqlite:///{Path(self.folder.name) / 'queue.db'}",
            clock=self.clock,
            ids=counting_ids(self.clock),
            sync_commits=False,
        )
        self.db.migrate()
        self.readers: list[User] = [
            users.create(self.db, name=f"reader {n}", role=Role.PHYSICIAN).user for n in range(3)
        ]
        self.tasks: dict[str, Expected] = {}

    def teardown(self) -> None:
        if hasattr(self, "db"):
            assert audit.verify(self.db).ok
            self.db.close()
            self.folder.cleanup()

    # what the model says

    def held(self, task: Expected) -> bool:
        return (
            task.state is TaskState.LEASED
            and task.expires is not None
            and self.clock.now() < task.expires
        )

    def closed(self, task: Expected) -> bool:
        return task.state in (TaskState.SIGNED, TaskState.OVERRIDDEN)

    def expect_hold(self, lease: Lease, reader: User) -> str:
        task = self.tasks[lease.task_id]
        if self.closed(task):
            return "already_signed"
        mine = self.held(task) and task.owner == reader.id and task.token == lease.token
        return "ok" if mine else "lease_lost"

    def taken(self, lease: Lease, reader: User) -> Lease:
        task = self.tasks[lease.task_id]
        assert lease.token == task.token + 1, "a token only grows"
        task.state, task.owner, task.token = TaskState.LEASED, reader.id, lease.token
        task.expires = self.clock.now() + queue.LEASE
        assert lease.expires_at == task.expires
        return lease

    # what readers do

    @rule(disposition=st.integers(1, 5), reason=st.sampled_from(Reason))
    def decide(self, disposition: int, reason: Reason) -> None:
        record = decide_in(self.db, reason, disposition=disposition)
        assert record.review_task_id is not None
        task = queue.read(self.db, record.review_task_id, self.readers[0]).task
        self.tasks[task.id] = Expected(record.id, (task.priority, task.due_at, task.id))

    @rule(seconds=st.sampled_from([1.0, 60.0, 299.0, 599.0, 600.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.tasks)
    @rule(target=leases, data=st.data(), reader=READERS)
    def claim(self, data: st.DataObject, reader: int) -> Lease:
        who = self.readers[reader]
        task_id = data.draw(st.sampled_from(sorted(self.tasks)))
        task = self.tasks[task_id]
        expected = "ok"
        if self.closed(task):
            expected = "already_signed"
        elif self.held(task) and task.owner != who.id:
            expected = "already_leased"
        lease = Lease(task_id, task.decision_id, who.id, task.token, self.clock.now())
        code = "ok"
        try:
            lease = queue.claim(self.db, task_id, who)
        except FenzhenError as error:
            code = error.code
        assert code == expected
        return self.taken(lease, who) if code == "ok" else lease

    @rule(target=leases, reader=READERS)
    def claim_next(self, reader: int) -> Lease:
        free = [
            task.urgency
            for task in self.tasks.values()
            if not self.closed(task) and not self.held(task)
        ]
        lease = queue.claim_next(self.db, self.readers[reader])
        if lease is None:
            assert free == []
            return Lease("rev_none", "dec_none", "usr_none", 0, self.clock.now())
        assert lease.task_id == min(free)[2], "the most urgent free task comes first"
        return self.taken(lease, self.readers[reader])

    @rule(lease=leases, reader=READERS)
    def heartbeat(self, lease: Lease, reader: int) -> None:
        if self.attempt(lease, reader, queue.heartbeat):
            self.tasks[lease.task_id].expires = self.clock.now() + queue.LEASE

    @rule(lease=leases, reader=READERS)
    def release(self, lease: Lease, reader: int) -> None:
        if self.attempt(lease, reader, queue.release):
            self.tasks[lease.task_id].state = TaskState.OPEN

    @rule(lease=leases, reader=READERS)
    def sign(self, lease: Lease, reader: int) -> None:
        if self.attempt(lease, reader, sign.sign):
            self.close(lease, reader, TaskState.SIGNED)

    @rule(lease=leases, reader=READERS)
    def override(self, lease: Lease, reader: int) -> None:
        def act(db: Database, task_id: str, who: User, token: int) -> object:
            return sign.override(db, task_id, who, token, reason=OverrideReason.RULE_WRONG)

        if self.attempt(lease, reader, act):
            self.close(lease, reader, TaskState.OVERRIDDEN)

    @rule()
    def sweep(self) -> None:
        lapsed = [
            task
            for task in self.tasks.values()
            if task.state is TaskState.LEASED and not self.held(task)
        ]
        assert queue.expire_leases(self.db) == len(lapsed)
        for task in lapsed:
            task.state = TaskState.OPEN

    def attempt(self, lease: Lease, reader: int, act: Act) -> bool:
        who = self.readers[reader]
        expected = self.expect_hold(lease, who) if lease.task_id in self.tasks else "not_found"
        code = "ok"
        try:
            act(self.db, lease.task_id, who, lease.token)
        except FenzhenError as error:
            code = error.code
        assert code == expected
        return code == "ok"

    def close(self, lease: Lease, reader: int, state: TaskState) -> None:
        task = self.tasks[lease.task_id]
        task.state, task.closed_by = state, self.readers[reader].id

    # what must hold at every moment

    @invariant()
    def the_queue_is_what_the_model_says(self) -> None:
        if not hasattr(self, "db"):
            return
        page = queue.worklist(self.db, filters=Filters(states=()), limit=200)
        assert [task.id for task in page.tasks] == [
            urgency[2] for urgency in sorted(task.urgency for task in self.tasks.values())
        ], "no task is lost, and they stand in order"
        for seen in page.tasks:
            task = self.tasks[seen.id]
            assert seen.lease_owner == (task.owner if self.held(task) else None)
            lapsed = task.state is TaskState.LEASED and not self.held(task)
            assert seen.state is (TaskState.OPEN if lapsed else task.state)

    @invariant()
    def every_closed_task_has_exactly_its_one_signature(self) -> None:
        if not hasattr(self, "db"):
            return
        found = {
            signature.task_id: (signature.reader_id, signature.outcome.value)
            for signature in signatures.list_signatures(self.db)
        }
        expected = {
            task_id: (task.closed_by, task.state.value)
            for task_id, task in self.tasks.items()
            if self.closed(task)
        }
        assert found == expected
        for task in self.tasks.values():
            status = decisions.get(self.db, task.decision_id).status.value
            assert status == (task.state.value if self.closed(task) else "preliminary")


QueueMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestQueueMachine = QueueMachine.TestCase
