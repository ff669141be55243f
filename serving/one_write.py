"""HTTP connections whose answers leave in one piece, and under load many in one turn.

uvicorn writes the head of an answer when it is known and the body after it: two system calls, two
segments, two times that the client is woken. Here the head waits for the body. While other requests
are under way an answer also waits for the end of this turn of the event loop, so that the clients'
turn comes after the server's instead of in the middle of it; the answer to a lone caller does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/"


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol on a transport that keeps together what belongs together."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        gathering = _Gathering(transport, self.loop, self._busy)
        super().connection_made(cast(asyncio.Transport, gathering))

    def _busy(self) -> bool:
        return len(self.tasks) > 1  # of all connections; this request's own is one of them


class _Gathering:
    """A transport in all but `write`; see the module docstring."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        busy: Callable[[], bool],
    ) -> None:
        self._transport, self._loop, self._busy = transport, loop, busy
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send the data with what it belongs to, at the end of this turn at the latest."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        if not data.startswith(_HEAD) and not self._busy():
            self._flush()

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
