"""JSON is kept as it was given, and hashed in one spelling."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.storage.canonical import canonical, dumps, sha256_of
from serving.storage.codes import ConsultStatus
from serving.storage.database import Database
from serving.storage.tables import ConsultRow

pytest_plugins = ["tests.serving.storage.databases"]

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(ANYTHING)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    dumps(value).encode("utf-8")


@settings(deadline=None)
@given(ANYTHING)
def test_a_value_has_the_same_hash_after_it_was_stored(value: Any) -> None:
    assert sha256_of(json.loads(dumps(value))) == sha256_of(value)


def test_the_order_of_keys_does_not_matter_to_the_hash() -> None:
    assert canonical({"b": 1, "a": [1.0, "热"]}) == b'{"a":[1.0,"\\u70ed"],"b":1}'
    assert sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dumps({"p": value})
    with pytest.raises(ValueError, match="JSON"):
        sha256_of({"p": value})


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=ANYTHING)
def test_both_databases_keep_every_value_exactly(db: Database, value: Any) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with db.write() as session:
        row = ConsultRow(
            id=db.ids.new("con"),
            secret_hash="",
            created_at=at,
            updated_at=at,
            state={"z": value, "a": [0.1, 1e300, -0.0, "\x00"]},
            status=ConsultStatus.OPEN,
            version=1,
        )
        session.add(row)
    with db.read() as session:
        back = session.get_one(ConsultRow, row.id).state
    assert dumps(back) == dumps(row.state)
