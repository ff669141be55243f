"""What the supervisor tells a process at its start, and the line between the two.

One socket pair for each process: the supervisor sends the set-up, then orders; the process says
when it is ready. Where the line breaks the supervisor is gone, and the process drains and ends: no
process outlives its server. Secrets go this way, never through the environment or the arguments.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from serving.settings import Settings
from serving.storage.canonical import JsonObject

READY = b"ready\n"


class Role(StrEnum):
    """What a process is for."""

    owner = "owner"
    http = "http"


class Order(StrEnum):
    """What the supervisor asks of a running process: to finish and end; to let go of models that
    nobody holds (the owner alone)."""

    stop = "stop"
    retire = "retire"


@dataclass(frozen=True)
class Setup:
    """A process's part. `folder` holds the owner's socket and the metrics; `listening` are
    descriptors: of HTTP's sockets, or of the owner's. `ended` is one of ended sessions."""

    role: Role
    settings: JsonObject
    folder: str
    listening: tuple[int, ...]
    session_key: str = ""
    ended: int = -1

    @property
    def engine(self) -> Path:
        """The owner's socket."""
        return engine_path(Path(self.folder))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the process inherits."""
        return (*self.listening, *(() if self.ended < 0 else (self.ended,)))

    def line(self) -> bytes:
        """For the socket pair."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Setup:
        """The other end's view of `line`."""
        told = json.loads(line)
        return cls(**{**told, "role": Role(told["role"]), "listening": tuple(told["listening"])})


def engine_path(folder: Path) -> Path:
    """The owner's socket in a server's folder."""
    return folder / "engine.sock"


def metrics_path(folder: Path) -> Path:
    """The metrics' place in a server's folder."""
    return folder / "metrics"


def as_json(settings: Settings) -> JsonObject:
    """All settings with their secrets, for `settings_of`."""
    secrets = {k: v.get_secret_value() for k, v in settings if isinstance(v, SecretStr)}
    return {**settings.model_dump(mode="json"), **secrets}


def settings_of(setup: Setup) -> Settings:
    """The settings of the supervisor, whatever the environment says by now."""
    return Settings(_env_file=None, **setup.settings)  # type: ignore[arg-type]


class Line:
    """A process's end of its socket pair. `broken`: the supervisor is gone."""

    def __init__(self, descriptor: int) -> None:
        self.broken = False
        self._socket = socket.socket(fileno=descriptor)
        with self._socket.makefile("rb", buffering=0) as file:
            self.setup = Setup.read(file.readline())
        self._socket.setblocking(False)

    async def ready(self) -> None:
        """Tell that this process does its work."""
        await asyncio.get_running_loop().sock_sendall(self._socket, READY)

    async def orders(self) -> AsyncIterator[Order]:
        """What the supervisor asks for, to the end; the last is always to stop."""
        loop = asyncio.get_running_loop()
        rest = b""
        while said := await loop.sock_recv(self._socket, 1024):
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                yield Order(line.decode())
        self.broken = True
        yield Order.stop
