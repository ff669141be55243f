"""Batches take turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.batches.rotation import Rotation


def test_each_key_has_its_turn_in_the_order_of_arrival() -> None:
    rotation: Rotation[str] = Rotation()
    for key in "abca":
        rotation.add(key)
    assert [rotation.next() for _ in range(6)] == list("abcabc")


def test_an_empty_round_has_nobody_next() -> None:
    rotation: Rotation[str] = Rotation()
    rotation.add("a")
    rotation.drop("a")
    rotation.drop("b")
    assert rotation.next() is None
    assert len(rotation) == 0


@given(st.lists(st.sampled_from(["add a", "add b", "add c", "drop a", "drop b", "next"])))
def test_no_key_gets_two_turns_while_another_waits(moves: list[str]) -> None:
    rotation: Rotation[str] = Rotation()
    waiting: dict[str, int] = {}  # turns of others since a key's last own
    for move in moves:
        verb, _, key = move.partition(" ")
        if verb == "add":
            rotation.add(key)
            waiting.setdefault(key, 0)
        elif verb == "drop":
            rotation.drop(key)
            waiting.pop(key, None)
        elif (turn := rotation.next()) is not None:
            waiting = {k: 0 if k == turn else n + 1 for k, n in waiting.items()}
            assert all(n < 3 for n in waiting.values())
        assert set(waiting) == {k for k in "abc" if k in rotation}
