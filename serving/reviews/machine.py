"""The life of a review task, as one table of legal moves.

open -> leased -> signed | overridden; leased -> open by release or by expiry. A closed task
never moves again. Knows nothing of rows, clocks or readers: who may move is the queue's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from serving.errors import AlreadySigned, IllegalMove
from serving.storage.codes import TaskState


class Move(StrEnum):
    """What can happen to a task."""

    CLAIM = "claim"
    HEARTBEAT = "heartbeat"
    RELEASE = "release"
    EXPIRE = "expire"
    SIGN = "sign"
    OVERRIDE = "override"


MOVES: Mapping[tuple[TaskState, Move], TaskState] = {
    (TaskState.OPEN, Move.CLAIM): TaskState.LEASED,
    (TaskState.LEASED, Move.HEARTBEAT): TaskState.LEASED,
    (TaskState.LEASED, Move.RELEASE): TaskState.OPEN,
    (TaskState.LEASED, Move.EXPIRE): TaskState.OPEN,
    (TaskState.LEASED, Move.SIGN): TaskState.SIGNED,
    (TaskState.LEASED, Move.OVERRIDE): TaskState.OVERRIDDEN,
}

CLOSED = frozenset({TaskState.SIGNED, TaskState.OVERRIDDEN})


def after(state: TaskState, move: Move) -> TaskState:
    """The state that a move leads to. Raises AlreadySigned from a closed one, or IllegalMove."""
    if state in CLOSED:
        raise AlreadySigned(f"the task is {state.value}")
    try:
        return MOVES[state, move]
    except KeyError:
        raise IllegalMove(f"a task that is {state.value} cannot {move.value}") from None
