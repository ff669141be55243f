"""The body of a request: read once, unpacked where it came compressed."""

from __future__ import annotations

import asyncio
import zlib

from starlette.types import Receive

from serving.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia

_EITHER = 32 + zlib.MAX_WBITS
"""zlib finds out by itself whether it reads gzip's format or its own, HTTP's `deflate`."""


async def read_body(receive: Receive) -> bytes | None:
    """All of the body; None when the caller has gone away before its end."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


async def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body of a `Content-Encoding`.

    Raises UnsupportedMedia for one that is not read here, PayloadTooLarge for more than `most`
    bytes, InvalidInput for damaged data.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedMedia("Content-Encoding must be gzip or deflate")
    # In a thread: zlib lets go of the interpreter, and takes a tenth of a second for 32 MB.
    return await asyncio.to_thread(_inflated, body, most)


def _inflated(body: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(_EITHER)
    try:
        content = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise InvalidInput("the compressed body is damaged") from error
    if len(content) > most:
        raise PayloadTooLarge(f"at most {most} bytes once unpacked")
    if not stream.eof or stream.unused_data:
        raise InvalidInput("the compressed body is cut off, or has more behind its end")
    return content
