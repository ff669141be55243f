"""Answers as they come over the wire: in pieces, several at once, and not at all."""

from __future__ import annotations

import pytest

from eval.serving.connections import NO_ANSWER, Address, BadUrl, Connection
from tests.eval.tiny_server import answer

CHUNKED = b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


class Wire:
    """The other end of a connection: what was written, and whether it was cut."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.cut = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.cut = True


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def connection(wire: Wire) -> Connection:
    made = Connection()
    made.connection_made(wire)  # type: ignore[arg-type]
    return made


def ask(connection: Connection, times: int) -> list[int]:
    statuses: list[int] = []
    for _ in range(times):
        connection.send(b"x", statuses.append)
    return statuses


def test_an_answer_counts_when_its_last_byte_is_there(connection: Connection) -> None:
    statuses = ask(connection, 1)
    whole = answer()
    for at in range(len(whole) - 1):
        connection.data_received(whole[at : at + 1])
    assert statuses == []
    connection.data_received(whole[-1:])
    assert statuses == [200]


def test_a_chunked_answer_counts_at_its_last_chunk(connection: Connection) -> None:
    statuses = ask(connection, 1)
    connection.data_received(CHUNKED[:-5])
    assert statuses == []
    connection.data_received(CHUNKED[-5:])
    assert statuses == [503]


def test_pipelined_answers_keep_the_order_of_the_requests(connection: Connection) -> None:
    statuses = ask(connection, 3)
    both = answer(200) + answer(429) + CHUNKED
    connection.data_received(both[:70])
    connection.data_received(both[70:])
    assert statuses == [200, 429, 503]
    assert connection.usable


def test_a_lost_connection_answers_all_that_is_open(connection: Connection) -> None:
    statuses = ask(connection, 2)
    connection.data_received(answer()[:20])
    connection.connection_lost(ConnectionResetError())
    assert statuses == [NO_ANSWER, NO_ANSWER]
    assert not connection.usable


def test_who_hangs_up_after_an_answer_is_not_asked_again(connection: Connection) -> None:
    statuses = ask(connection, 1)
    connection.data_received(answer(200, close=True))
    assert statuses == [200]
    assert not connection.usable


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH\r\n", b"\0" * 40])
def test_what_is_not_http_is_no_answer(connection: Connection, wire: Wire, words: bytes) -> None:
    statuses = ask(connection, 1)
    connection.data_received(words)
    assert statuses == [NO_ANSWER]
    assert wire.cut


def test_an_answer_that_nobody_asked_for_ends_the_connection(
    connection: Connection, wire: Wire
) -> None:
    connection.data_received(answer())
    assert wire.cut
    assert ask(connection, 1) == [NO_ANSWER]


@pytest.mark.parametrize(
    "url", ["https://host/x", "host:80", "http://", "http://host:port/", "http://h:99999/"]
)
def test_an_address_is_plain_http(url: str) -> None:
    with pytest.raises(BadUrl, match="address"):
        Address(url)


def test_an_address_keeps_its_query() -> None:
    address = Address("http://127.0.0.1:81/a/b?c=1")
    assert (address.host, address.port, address.path) == ("127.0.0.1", 81, "/a/b?c=1")
