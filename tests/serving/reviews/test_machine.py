"""Only the moves of the table are possible, and a closed task never moves again."""

from __future__ import annotations

import itertools

import pytest

from serving.errors import AlreadySigned, IllegalMove
from serving.reviews.machine import CLOSED, MOVES, Move, after
from serving.storage.codes import TaskState


def test_the_table_is_the_life_of_a_task() -> None:
    assert {(f"{state} {move}", str(to)) for (state, move), to in MOVES.items()} == {
        ("open claim", "leased"),
        ("leased heartbeat", "leased"),
        ("leased release", "open"),
        ("leased expire", "open"),
        ("leased sign", "signed"),
        ("leased override", "overridden"),
    }


@pytest.mark.parametrize(("state", "move"), itertools.product(TaskState, Move))
def test_every_other_move_is_refused(state: TaskState, move: Move) -> None:
    if (state, move) in MOVES:
        assert after(state, move) is MOVES[state, move]
    else:
        with pytest.raises(AlreadySigned if state in CLOSED else IllegalMove):
            after(state, move)


def test_every_state_can_be_reached_and_every_open_one_can_be_closed() -> None:
    reached = {TaskState.OPEN}
    while True:
        more = {to for (state, _), to in MOVES.items() if state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(TaskState)
