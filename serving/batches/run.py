"""One batch that is being worked through: its open input and the rows still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import ExitStack

from serving.batches.inputs import Inputs
from serving.batches.items import Item, Reading, items
from serving.users import User


class Run:
    """Gives out rows one at a time, to whichever worker asks. `in_flight` counts those out."""

    def __init__(self, batch_id: str, task: str, owner: User, token: int) -> None:
        """`token` is the one with which the batch was claimed."""
        self.id = batch_id
        self.token = token
        self.task = task
        self.owner = owner
        self.in_flight = 0
        self.read_to_the_end = False
        self._turn = asyncio.Lock()
        self._stack = ExitStack()
        self._items: Iterator[Item] = iter(())

    def open(
        self, inputs: Inputs, sha256: str, reading: Reading, recorded: Collection[int]
    ) -> None:
        """Open the input behind the rows that are recorded. Blocking; see `Inputs.open`."""
        file = self._stack.enter_context(inputs.open(self.id, sha256))
        found = items(file, reading, skip=recorded)
        self._stack.callback(found.close)
        self._items = found

    async def take(self) -> Item | None:
        """The next row, read in a thread; None when there is none left."""
        async with self._turn:
            item = await asyncio.to_thread(next, self._items, None)
        if item is None:
            self.read_to_the_end = True
        return item

    def close(self) -> None:
        """Let go of the input. Blocking; again does nothing."""
        self._stack.close()
