"""The life of a batch."""

from __future__ import annotations

import pytest

from serving.batches.machine import MOVES, OPEN, Move, after
from serving.errors import IllegalMove
from serving.storage.codes import BatchState


@pytest.mark.parametrize("state", BatchState)
@pytest.mark.parametrize("move", Move)
def test_a_move_is_in_the_table_or_refused(state: BatchState, move: Move) -> None:
    if (state, move) in MOVES:
        assert after(state, move) is MOVES[state, move]
    else:
        with pytest.raises(IllegalMove):
            after(state, move)


def test_what_has_ended_never_runs_again() -> None:
    for (state, _), to in MOVES.items():
        if state not in OPEN:
            assert to is state
