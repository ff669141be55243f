"""A real server in a process of its own, for tests that speak to it as its clients do.

The one way in which tests start one: it may be killed, stopped and started again on its folder.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from serving import users
from serving.storage.codes import Role
from serving.storage.database import Database

STOP_S = 120.0


def free_port() -> int:
    """A port of this host that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class ServerProcess:
    """`fenzhen serve` on the folder `var` and a free port.

    settings: further environment, as `FENZHEN_MAX_STOW_BYTES`. start_s: seconds until it must be
    ready.
    """

    var: Path
    settings: dict[str, str] = field(default_factory=dict)
    start_s: float = 300.0
    port: int = field(default_factory=free_port, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it has written to both of its streams."""
        return self.var / "server.log"

    def database(self) -> Database:
        """The server's database, made where it is not yet; its own unless a setting names one."""
        own = f"sqlite:///{self.var / 'fenzhen.sqlite3'}"
        db = Database(self.settings.get("FENZHEN_DATABASE_URL", own))
        db.migrate()
        return db

    def add_user(self, name: str, role: Role) -> str:
        """The key of a new user."""
        db = self.database()
        try:
            return users.create(db, name=name, role=role).api_key
        finally:
            db.close()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self.var.mkdir(parents=True, exist_ok=True)
        own = {"FENZHEN_VAR": str(self.var), "FENZHEN_HOST": "127.0.0.1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.cli", "serve"],
                env=os.environ | own | {"FENZHEN_PORT": str(self.port)} | self.settings,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + self.start_s
        while not self._is_ready():
            assert self.process.poll() is None, self._last_words()
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.1)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(STOP_S)
        self.process = None
        return status

    def close(self) -> None:
        """End it however it stands."""
        if self.process is not None:
            self.end(signal.SIGKILL)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(self.url + "/health/ready", timeout=2).is_success
        except httpx.TransportError:
            return False

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
