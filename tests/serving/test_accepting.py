"""Clients that come together are shared out among those who accept from one socket."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from serving.accepting import Accepting


class Greeting(asyncio.Protocol):
    """Says its name to whoever connects."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.name)  # type: ignore[attr-defined]


def accepting(listening: socket.socket, name: bytes) -> Accepting:
    return Accepting(listening.dup(), lambda: Greeting(name))


async def greeted(clients: list[socket.socket]) -> list[bytes]:
    loop = asyncio.get_running_loop()
    for client in clients:
        client.setblocking(False)
    async with asyncio.timeout(10):
        return [await loop.sock_recv(client, 1) for client in clients]


def test_each_takes_its_share_of_a_crowd_and_the_rest_when_the_other_ends() -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def crowd(size: int) -> list[socket.socket]:
                address = listening.getsockname()
                made = [socket.create_connection(address) for _ in range(size)]
                return [stack.enter_context(client) for client in made]

            waiting = crowd(20)
            one, other = accepting(listening, b"1"), accepting(listening, b"2")
            names = await greeted(waiting)
            assert {names.count(b"1"), names.count(b"2")} == {10}
            one.close()
            await one.wait_closed()
            one.close()
            assert await greeted(crowd(5)) == [b"2"] * 5
            other.close()

    for loop in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(scenario())
