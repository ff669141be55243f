"""A real HTTP server of a few lines, whose delays and statuses a test knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[], tuple[float, bytes]]
"""Seconds to wait, and what to send then; nothing to send hangs up."""


def answer(status: int = 200, *, close: bool = False) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n"
    return (head + ("Connection: close\r\n" if close else "") + "\r\n{}").encode()


@dataclass
class Tiny:
    """url; how many requests came, on how many connections; the heads of all."""

    url: str = ""
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def tiny_server(answers: Answer) -> AsyncIterator[Tiny]:
    tiny = Tiny()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tiny.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                tiny.heads.append(head)
                length = head.lower().partition(b"content-length: ")[2].split(b"\r")[0]
                await reader.readexactly(int(length))
                seconds, words = answers()
                await asyncio.sleep(seconds)
                if not words:
                    return
                writer.write(words)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tiny.url = f"http://127.0.0.1:{port}/infer"
    async with server:
        yield tiny


def stall(begin: float, seconds: float) -> Answer:
    """Answers at once, but holds all who come in the stall until its end; times from the first."""
    started: list[float] = []

    def answers() -> tuple[float, bytes]:
        now = time.monotonic()
        started.append(now)
        since = now - started[0] - begin
        return (max(seconds - since, 0.0) if since >= 0 else 0.0), answer()

    return answers
