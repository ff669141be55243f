"""HTTP/1.1 on kept-alive connections, with as little work per request as Python allows.

Client and server share the machine, so what the client spends the server lacks: requests are
bytes that were rendered before the clock ran, an answer is its status, and bodies are thrown
away unread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools

NO_ANSWER = 0
"""The status of a request whose connection was refused or lost, or that nobody answered."""

Answered = Callable[[int], None]
"""Called once with the status of the answer, or NO_ANSWER."""


class BadUrl(Exception):
    """The address is not `http://host[:port][/path]`; the message is one sentence."""


class Address:
    """Where the server listens, and the path of the URL."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise BadUrl(f"{url!r} is not an address") from None
        if parts.scheme != "http" or not parts.hostname:
            raise BadUrl(f"the address is http://host:port/path, not {url!r}")
        self.host = parts.hostname
        self.port = 80 if port is None else port
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class Connection(asyncio.Protocol):
    """One connection; answers come in the order of the requests (RFC 9112, 9.3.2).

    A connection that is lost, or on which something is said that is not HTTP, answers what is
    still open with NO_ANSWER and is of no further use.
    """

    def __init__(self) -> None:
        self._open: deque[Answered] = deque()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    @property
    def usable(self) -> bool:
        """Whether the next request may go here."""
        return self._transport is not None

    def send(self, request: bytes, answered: Answered) -> None:
        """Send rendered bytes; on a lost connection the answer comes at once."""
        if self._transport is None:
            answered(NO_ANSWER)
            return
        self._open.append(answered)
        self._transport.write(request)

    def close(self) -> None:
        """Drop it; what is still open is answered with NO_ANSWER."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        while self._open:
            self._open.popleft()(NO_ANSWER)

    # Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    # Parser

    def on_message_complete(self) -> None:
        if not self._open:  # an answer that nobody asked for: the two ends no longer agree
            self.close()
            return
        status = self._parser.get_status_code()
        answered = self._open.popleft()
        if not self._parser.should_keep_alive():
            self.close()
        answered(status)


async def connect(address: Address) -> Connection:
    """A new connection; raises OSError when the server refuses."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, address.host, address.port)
    return connection
