"""multipart/related (RFC 2387), both ways: what a STOW-RS request carries, what WADO-RS answers.

A request is read as it comes, to an unnamed temporary file: however large it is, the memory stays
flat, and whatever stops the reading leaves nothing on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia

DICOM = "application/dicom"
_BOUNDARY_LIMIT = 70
"""Characters, by RFC 2046."""


@dataclass(frozen=True)
class Limits:
    """Most parts in one request, and most bytes of one part."""

    parts: int
    part_bytes: int


@dataclass(frozen=True)
class Spooled:
    """The parts of a request, in a file: where each begins and how many bytes it has."""

    file: IO[bytes]
    places: tuple[tuple[int, int], ...]

    def parts(self) -> Iterator[bytes]:
        """One part after another; only one need be in memory."""
        for start, length in self.places:
            self.file.seek(start)
            yield self.file.read(length)


@contextlib.asynccontextmanager
async def spool(
    stream: AsyncIterator[bytes], content_type: str, limits: Limits, folder: Path
) -> AsyncIterator[Spooled]:
    """The DICOM parts of a request's body, kept in `folder` until the end of the `with`.

    Raises UnsupportedMedia for anything but multipart/related with parts of application/dicom,
    InvalidInput for a body that is malformed, cut off or empty, PayloadTooLarge.
    """
    boundary = _boundary(content_type)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder) as file:
        reader = _Reader(boundary, limits, file)
        async for chunk in stream:
            # Parsing copies and writes: in a thread, others are answered meanwhile.
            await asyncio.to_thread(reader.write, chunk)
        yield Spooled(file, reader.places())


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/related":
        raise UnsupportedMedia("send multipart/related")
    if options.get(b"type", DICOM.encode()).lower() != DICOM.encode():
        raise UnsupportedMedia("only parts of type application/dicom are stored")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_LIMIT:
        raise InvalidInput(f"multipart/related needs a boundary of 1 to {_BOUNDARY_LIMIT} bytes")
    return boundary


class _Reader:
    """Feeds the parser and writes what it finds to the file."""

    def __init__(self, boundary: bytes, limits: Limits, file: IO[bytes]) -> None:
        self._limits = limits
        self._file = file
        self._places: list[tuple[int, int]] = []
        self._start = self._length = 0
        self._name, self._value = b"", b""
        self._kind = DICOM.encode()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            # Its message quotes the body.
            raise InvalidInput("the multipart body is malformed") from error

    def places(self) -> tuple[tuple[int, int], ...]:
        if not self._ended:
            raise InvalidInput("the multipart body is cut off")
        if not self._places:
            raise InvalidInput("the multipart body has no parts")
        return tuple(self._places)

    def _part_begin(self) -> None:
        if len(self._places) >= self._limits.parts:
            raise PayloadTooLarge(f"at most {self._limits.parts} instances in one request")
        self._start, self._length = self._file.tell(), 0
        self._kind = DICOM.encode()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-type":
            self._kind = parse_options_header(self._value)[0]
        self._name, self._value = b"", b""

    def _headers_finished(self) -> None:
        if self._kind.lower() != DICOM.encode():
            raise UnsupportedMedia("only parts of type application/dicom are stored")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._length += end - start
        if self._length > self._limits.part_bytes:
            raise PayloadTooLarge(f"an instance has at most {self._limits.part_bytes} bytes")
        self._file.write(data[start:end])

    def _part_end(self) -> None:
        self._places.append((self._start, self._length))

    def _end(self) -> None:
        self._ended = True


def encode(parts: Iterable[tuple[str, bytes]], boundary: str) -> Iterator[bytes]:
    """A multipart/related body from (content type, bytes) pairs, piece by piece."""
    for kind, data in parts:
        yield f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
        yield data
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
