"""A server in processes of its own: started, waited for, weighed, and ended with all it started.

Frameworks start workers, brokers and proxies that leave their parent's group and outlive it. So
every process inherits a mark in its environment, and the end looks for the mark.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eval.result import BenchmarkError

_MARK = "FENZHEN_BENCH_MARK"
_LOOK_EVERY_S = 0.1
_TERMINATE_S = 20.0
_KILL_S = 10.0
_LAST_WORDS = 1500


@dataclass(frozen=True)
class Command:
    """How a server is started.

    ready: path that answers 200 once it can be asked; a POST of `ready_body` where there is one.
    """

    arguments: Sequence[str]
    port: int
    ready: str
    environment: Mapping[str, str]
    ready_body: bytes | None = None
    start_s: float = 180.0


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    mark: str
    started_in_s: float

    def memory_mb(self) -> float:
        """Proportional resident memory of all its processes, MB; what they share counts once."""
        return sum(map(_resident_mb, _marked(self.mark)))


def free_port() -> int:
    """A port of this host that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(command: Command, log: Path) -> Iterator[Running]:
    """Start it, and end it whatever happens.

    log: file for what it writes. Raises BenchmarkError with its last words where it ends before it
    is ready, or is not ready in time.
    """
    mark = uuid.uuid4().hex
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("ab") as words:
        try:
            process = subprocess.Popen(
                list(command.arguments),
                env={**os.environ, **command.environment, _MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,  # so that Ctrl-C comes to us alone, and we end it in order
            )
        except OSError as error:
            raise BenchmarkError(f"cannot run {command.arguments[0]}: {error.strerror}") from None
    try:
        while not _is_ready(command):
            if process.poll() is not None:
                raise BenchmarkError(f"ended with {process.returncode}: {_last_words(log)}")
            if time.monotonic() - began > command.start_s:
                raise BenchmarkError(f"not ready in {command.start_s:.0f} s: {_last_words(log)}")
            time.sleep(_LOOK_EVERY_S)
        yield Running(mark, time.monotonic() - began)
    finally:
        _end(process, mark)


def _is_ready(command: Command) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", command.port, timeout=10)
    try:
        method = "GET" if command.ready_body is None else "POST"
        headers = {"Content-Type": "application/octet-stream"}
        asking.request(method, command.ready, command.ready_body, headers)
        return asking.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """SIGTERM to the server, then to what is left of it, then SIGKILL."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_TERMINATE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    deadline = time.monotonic() + _KILL_S
    number = signal.SIGTERM
    while left := _marked(mark):
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise BenchmarkError(f"processes that cannot be ended: {left}")
        time.sleep(_LOOK_EVERY_S * 5)
        number = signal.SIGKILL


def _marked(mark: str) -> list[int]:
    """Ids of the living processes that carry the mark."""
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:  # it has ended, or belongs to somebody else
            continue
        if wanted in environment.split(b"\0"):
            found.append(int(folder.name))
    return found


def _resident_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    kilobytes = next((line.split()[1] for line in lines if line.startswith("Pss:")), "0")
    return int(kilobytes) / 1024


def _last_words(log: Path) -> str:
    return " ".join(log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:].split())
