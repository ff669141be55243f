"""Keys are shown once, known by their hash, and open only what the role's row allows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy import text

from serving import audit, users
from serving.clock import FixedClock
from serving.errors import Forbidden, InvalidInput, NotFound
from serving.storage.codes import Role
from serving.storage.database import Database
from serving.users import PERMISSIONS, Permission

pytest_plugins = ["tests.serving.storage.databases"]


def test_a_new_user_is_known_by_the_key_shown_once(db: Database) -> None:
    new = users.create(db, name=" 王伟 ", role=Role.PHYSICIAN)
    assert re.fullmatch(r"fz_[A-Za-z0-9_-]{43}", new.api_key)
    assert new.user.name == "王伟"
    assert users.authenticate(db, new.api_key) == new.user
    assert users.get(db, new.user.id) == new.user


def test_the_key_is_nowhere_in_the_database(db: Database) -> None:
    key = users.create(db, name="a", role=Role.PATIENT_APP).api_key
    with db.read() as session:
        stored = session.execute(text("SELECT * FROM users")).all()
        events = session.execute(text("SELECT * FROM audit_events")).all()
    assert key not in repr(stored) + repr(events)
    assert key.removeprefix("fz_") not in repr(stored)


@pytest.mark.parametrize(
    "key",
    ["", "fz_", "fz_" + "A" * 43, "fz_" + "A" * 44, "头痛", "' OR 1=1 --", "fz_\x00" + "A" * 42],
)
def test_an_unknown_or_malformed_key_is_nobody(db: Database, key: str) -> None:
    users.create(db, name="a", role=Role.ADMINISTRATOR)
    assert users.authenticate(db, key) is None


def test_two_people_may_share_a_name_but_not_a_key(db: Database) -> None:
    one, two = (users.create(db, name="王伟", role=Role.PHYSICIAN) for _ in range(2))
    assert one.user.id != two.user.id
    assert users.authenticate(db, one.api_key) == one.user
    assert users.authenticate(db, two.api_key) == two.user


def test_a_disabled_user_is_refused_and_stays_on_record(db: Database, clock: FixedClock) -> None:
    new = users.create(db, name="a", role=Role.PHYSICIAN)
    clock.advance(60)
    disabled = users.disable(db, new.user.id, actor="usr_admin")
    assert disabled.disabled_at == clock.now()
    assert users.authenticate(db, new.api_key) is None
    assert users.list_users(db) == [disabled]
    assert not disabled.may(Permission.REVIEW_SIGN)


def test_disabling_again_changes_nothing(db: Database, clock: FixedClock) -> None:
    user = users.create(db, name="a", role=Role.PHYSICIAN).user
    first = users.disable(db, user.id)
    clock.advance(60)
    assert users.disable(db, user.id) == first
    assert len(audit.list_events(db, action="user.disabled")) == 1


def test_making_and_disabling_users_is_audited(db: Database) -> None:
    user = users.create(db, name="王伟", role=Role.PHYSICIAN, actor="usr_admin").user
    users.disable(db, user.id, actor="usr_admin")
    events = audit.list_events(db, subject=user.id)
    assert [(event.action, event.actor) for event in events] == [
        ("user.disabled", "usr_admin"),
        ("user.created", "usr_admin"),
    ]
    assert events[1].detail == {"role": "physician"}


def test_unknown_users_are_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        users.get(db, "usr_none")
    with pytest.raises(NotFound):
        users.disable(db, "usr_none")


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_user_needs_a_name_of_sensible_length(db: Database, name: str) -> None:
    with pytest.raises(InvalidInput):
        users.create(db, name=name, role=Role.PHYSICIAN)


def test_users_are_listed_by_role_oldest_first(db: Database, clock: FixedClock) -> None:
    made = []
    for role in (Role.PHYSICIAN, Role.ADMINISTRATOR, Role.PHYSICIAN):
        clock.advance(1)
        made.append(users.create(db, name="a", role=role).user)
    assert users.list_users(db) == made
    assert users.list_users(db, role=Role.PHYSICIAN) == [made[0], made[2]]


def test_every_role_has_a_row_and_nobody_may_everything() -> None:
    assert set(PERMISSIONS) == set(Role)
    for role in Role:
        assert PERMISSIONS[role] < set(Permission)


def test_every_permission_is_given_to_somebody() -> None:
    assert frozenset().union(*PERMISSIONS.values()) == set(Permission)


def test_only_physicians_sign_and_only_administrators_manage() -> None:
    assert [role for role in Role if Permission.REVIEW_SIGN in PERMISSIONS[role]] == [
        Role.PHYSICIAN
    ]
    for permission in (Permission.USERS_MANAGE, Permission.AUDIT_READ):
        assert [r for r in Role if permission in PERMISSIONS[r]] == [Role.ADMINISTRATOR]


def test_a_patients_app_sees_no_imaging_no_queue_and_no_other_decisions() -> None:
    allowed = PERMISSIONS[Role.PATIENT_APP]
    for permission in (
        Permission.IMAGING_WRITE,
        Permission.REVIEW_READ,
        Permission.DECISION_READ,
        Permission.AUDIT_READ,
        Permission.MODELS_INFER,
    ):
        assert permission not in allowed


def test_what_is_not_allowed_is_forbidden(db: Database) -> None:
    app = users.create(db, name="app", role=Role.PATIENT_APP).user
    users.require(app, Permission.TRIAGE_WRITE)
    with pytest.raises(Forbidden):
        users.require(app, Permission.REVIEW_SIGN)


def test_a_right_is_judged_by_the_record_not_by_what_the_caller_says(db: Database) -> None:
    app = users.create(db, name="app", role=Role.PATIENT_APP).user
    pretender = replace(app, role=Role.PHYSICIAN)
    with db.read() as session, pytest.raises(Forbidden):
        users.require_now(session, pretender, Permission.REVIEW_SIGN)
    with db.read() as session, pytest.raises(Forbidden):
        users.require_now(session, replace(app, id="usr_none"), Permission.TRIAGE_WRITE)
