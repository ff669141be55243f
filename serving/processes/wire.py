"""One connection between an HTTP process and the owner: bytes in frames, both ways.

Reads straight into the buffers that tensors will live in, and writes what one turn of the event
loop has to say in one call: a hundred answers of a batch are one system call, not a hundred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from serving.processes.frames import HEADER, MAX_BODY, Chunk, Kind, MalformedFrame, size_of

_BUFFER = 1 << 18
"""Bytes read at once. A frame that fits is copied out of it; a larger one gets a buffer of its
own and is read without a copy."""
STUCK_BYTES = 4 * MAX_BODY
"""Unsent bytes beyond which the other side is not reading any more."""
_KINDS = frozenset(Kind)

Received = Callable[[Kind, int, bytearray], None]


class Wire(asyncio.BufferedProtocol):
    """See the module docstring. `received` may raise MalformedFrame: that ends the connection."""

    def __init__(self, received: Received, lost: Callable[[Exception | None], None]) -> None:
        self._received, self._on_lost = received, lost
        self._transport: asyncio.Transport | None = None
        self._out: list[Chunk] = []
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._end = 0
        self._large: bytearray | None = None
        self._filled = 0
        self._head: tuple[Kind, int] = (Kind.infer, 0)
        self._fault: MalformedFrame | None = None

    @property
    def unsent(self) -> int:
        """Bytes that the other side has not taken yet."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return waiting + size_of(self._out)

    def send(self, kind: Kind, request: int, body: Sequence[Chunk] = ()) -> None:
        """Send a frame; nothing once the connection is lost."""
        if self._transport is None:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(HEADER.pack(size_of(body), kind, request))
        self._out.extend(body)

    def close(self) -> None:
        """Send what is to be sent, then end the connection."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        chunks, self._out = self._out, []
        if chunks and self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(chunks)
            if self._transport.get_write_buffer_size() > STUCK_BYTES:
                self._end_with(MalformedFrame("it does not read what it is sent"))

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._transport = None
        self._out.clear()
        self._on_lost(self._fault or exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio."""
        if self._large is not None:
            return memoryview(self._large)[self._filled :]
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        try:
            if self._large is None:
                self._end += nbytes
                self._take()
                return
            self._filled += nbytes
            if self._filled == len(self._large):
                body, self._large = self._large, None
                self._received(*self._head, body)
        except MalformedFrame as fault:
            self._end_with(fault)

    def _take(self) -> None:
        """Everything whole in the buffer; what is left of it moves to the front."""
        start = 0
        while self._end - start >= HEADER.size:
            length, kind, request = HEADER.unpack_from(self._buffer, start)
            if length > MAX_BODY or kind not in _KINDS:
                raise MalformedFrame("no such frame")
            begin, end = start + HEADER.size, start + HEADER.size + length
            if end > self._end:
                if HEADER.size + length > _BUFFER:
                    self._begin_large(Kind(kind), request, length, begin)
                    return
                break
            self._received(Kind(kind), request, bytearray(self._view[begin:end]))
            start = end
        if start:
            left = self._end - start
            self._view[:left] = bytes(self._view[start : self._end])
            self._end = left

    def _begin_large(self, kind: Kind, request: int, length: int, begin: int) -> None:
        body = bytearray(length)
        self._filled = self._end - begin
        body[: self._filled] = self._view[begin : self._end]
        self._head, self._large, self._end = (kind, request), body, 0

    def _end_with(self, fault: MalformedFrame) -> None:
        self._fault = fault
        if self._transport is not None:
            self._transport.abort()
