"""The batches that this server may work on: claimed, held by heartbeats, let go.

Keeps what it holds in memory and nothing else. A lease that was lost is found at the next
heartbeat; until then no row gets recorded all the same, because its token is no longer the newest.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from serving.storage import batch_leases
from serving.storage.database import Database

BEATS = 3
"""Heartbeats in the time of one lease: two may be late."""


class Leases:
    """Leases of one server. Used inside its event loop."""

    def __init__(self, db: Database, lease_for: timedelta) -> None:
        self._db = db
        self._lease_for = lease_for
        self._tokens: dict[str, int] = {}

    @property
    def beat_s(self) -> float:
        """Seconds between two heartbeats."""
        return self._lease_for.total_seconds() / BEATS

    async def take(self, batch_id: str) -> int | None:
        """Claim a batch; its token, or None while another server holds it.

        Raises NotFound, IllegalMove or StorageUnavailable.
        """
        token = await asyncio.to_thread(
            batch_leases.claim, self._db, batch_id, lease_for=self._lease_for
        )
        if token is not None:
            self._tokens[batch_id] = token
        return token

    async def renew(self) -> list[str]:
        """Hold all for longer; those that are lost, which are held no more.

        Raises StorageUnavailable.
        """
        lost = []
        for batch_id, token in list(self._tokens.items()):
            held = await asyncio.to_thread(
                batch_leases.renew, self._db, batch_id, token, lease_for=self._lease_for
            )
            if not held and self._tokens.get(batch_id) == token:
                del self._tokens[batch_id]
                lost.append(batch_id)
        return lost

    def lapse(self, batch_id: str) -> None:
        """Send no further heartbeat: whoever looks once the lease has run out goes on."""
        self._tokens.pop(batch_id, None)

    async def release(self, batch_id: str) -> None:
        """Let others go on at once. Raises StorageUnavailable."""
        token = self._tokens.pop(batch_id, None)
        if token is not None:
            await asyncio.to_thread(batch_leases.release, self._db, batch_id, token)

    async def release_all(self) -> None:
        """As `release`, of every batch."""
        for batch_id in list(self._tokens):
            await self.release(batch_id)
