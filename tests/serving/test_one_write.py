"""Answers leave whole, in order, and in as few pieces as can be."""

from __future__ import annotations

import asyncio
import re

import pytest
import uvicorn
import uvloop
from starlette.types import Message, Receive, Scope, Send

from serving.one_write import OneWrite
from tests.servers import free_port

PARTS = [b"a" * 10, b"b" * 200_000, b"", b"c"]


async def application(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answers by path: `/short`, `/stream` in parts, `/none` without a body."""
    path = scope["path"]
    headers = [] if path == "/stream" else [(b"content-length", b"0" if path == "/none" else b"5")]
    status = 204 if path == "/none" else 200
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    if path == "/stream":
        for part in PARTS:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0.001)
        await send({"type": "http.response.body", "body": b""})
    else:
        body = b"" if path == "/none" else b"hello"
        await send({"type": "http.response.body", "body": body})


async def answers(http: type[asyncio.Protocol] | str, request: bytes) -> list[bytes]:
    """What comes back for the bytes of one or several requests, piece by piece."""
    port = free_port()
    config = uvicorn.Config(
        application, port=port, http=http, log_config=None, lifespan="off", date_header=False
    )  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    pieces = []
    while piece := await reader.read(1_000_000):
        pieces.append(piece)
    writer.close()
    server.should_exit = True
    await serving
    return pieces


def get(path: str, method: str = "GET", *, last: bool = True) -> bytes:
    end = b"connection: close\r\n" if last else b""
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n".encode() + end + b"\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/short"),
        get("/none"),
        get("/stream"),
        get("/short", "HEAD"),
        get("/short", last=False) + get("/stream", last=False) + get("/short"),
        b"nonsense\r\n\r\n",
    ],
)
def test_the_same_bytes_as_uvicorns_own_protocol(request_bytes: bytes) -> None:
    async def scenario() -> None:
        mine = b"".join(await answers(OneWrite, request_bytes))
        theirs = b"".join(await answers("httptools", request_bytes))
        assert mine
        assert mine == theirs

    uvloop.run(scenario())


def test_a_short_answer_is_one_piece_and_a_stream_comes_as_it_is_made() -> None:
    async def scenario() -> None:
        [whole] = await answers(OneWrite, get("/short"))
        assert re.fullmatch(rb"HTTP/1.1 200 OK\r\n(.+\r\n)+\r\nhello", whole)
        streamed = await answers(OneWrite, get("/stream"))
        assert len(streamed) > 1
        assert b"aaaaaaaaaa" in streamed[0]
        assert b"c" not in streamed[0].partition(b"\r\n\r\n")[2]

    uvloop.run(scenario())
