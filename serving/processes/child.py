"""A process of the server as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from serving.processes.metrics import VARIABLE
from serving.processes.setup import READY, Order, Setup, metrics_path


class Child:
    """A running process. It has a process group of its own: Ctrl-C is for the supervisor alone."""

    def __init__(self, setup: Setup, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.role, self.pid = setup.role, process.pid

    @classmethod
    async def start(cls, setup: Setup) -> Child:
        """Start a process on its part."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "serving.processes.start",
                str(theirs.fileno()),
                env=os.environ | {VARIABLE: str(metrics_path(Path(setup.folder)))},
                pass_fds=(theirs.fileno(), *setup.descriptors),
                start_new_session=True,
            )
        child = cls(setup, process)
        child._reader, child._writer = await asyncio.open_connection(sock=ours)
        child._writer.write(setup.line())
        return child

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def ready(self) -> bool:
        """Wait until it does its work; False when it ended before."""
        try:
            return await self._reader.readexactly(len(READY)) == READY
        except (asyncio.IncompleteReadError, ConnectionError):
            return False

    def tell(self, order: Order) -> None:
        """Give an order; nothing where the process is over."""
        if not self._writer.is_closing():
            self._writer.write(order.value.encode() + b"\n")

    def kill(self) -> None:
        """End it at once; nothing where it is over."""
        if self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        status = await self._process.wait()
        self._writer.close()
        return status
