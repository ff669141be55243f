"""The life of a batch, as one table of legal moves.

queued -> running -> done | cancelled. Starting again is how a batch goes on after a restart, and
cancelling again changes nothing. Knows nothing of rows, files or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from serving.errors import IllegalMove
from serving.storage.codes import BatchState


class Move(StrEnum):
    """What can happen to a batch."""

    START = "start"
    FINISH = "finish"
    CANCEL = "cancel"


MOVES: Mapping[tuple[BatchState, Move], BatchState] = {
    (BatchState.QUEUED, Move.START): BatchState.RUNNING,
    (BatchState.RUNNING, Move.START): BatchState.RUNNING,
    (BatchState.RUNNING, Move.FINISH): BatchState.DONE,
    (BatchState.QUEUED, Move.CANCEL): BatchState.CANCELLED,
    (BatchState.RUNNING, Move.CANCEL): BatchState.CANCELLED,
    (BatchState.CANCELLED, Move.CANCEL): BatchState.CANCELLED,
}

OPEN = frozenset({BatchState.QUEUED, BatchState.RUNNING})
"""States of a batch with rows still to answer."""


def after(state: BatchState, move: Move) -> BatchState:
    """The state that a move leads to. Raises IllegalMove."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise IllegalMove(f"a batch that is {state.value} cannot {move.value}") from None
