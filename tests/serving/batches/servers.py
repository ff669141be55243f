"""A real server in a process of its own that a test may kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from serving import users
from serving.storage.codes import Role
from serving.storage.database import Database

START_S = 600.0
DEADLINE_S = 600.0


@dataclass
class ServerProcess:
    """`fenzhen serve` on one folder, started as often as the test wants."""

    var: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        db = self.database()
        db.migrate()
        self.key = users.create(db, name="Owner", role=Role.ADMINISTRATOR).api_key
        db.close()
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
            # A server that is starved may close an idle connection just as it is used again.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def database(self) -> Database:
        """The server's own database."""
        return Database(f"sqlite:///{self.var / 'fenzhen.sqlite3'}")

    @property
    def log(self) -> Path:
        return self.var / "server.log"

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.cli", "serve"],
                env=os.environ
                | {"FENZHEN_VAR": str(self.var), "FENZHEN_PORT": str(self.port)}
                | self.settings,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                if self.client.get("/health/ready").is_success:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(60)
        self.process = None
        return status

    def close(self) -> None:
        """End it however it stands."""
        if self.process is not None:
            self.end(signal.SIGKILL)
        self.client.close()

    def send(self, data: bytes, task: str, kind: str) -> str:
        """Send a batch; its id."""
        answer = self.client.post(
            f"/v1/batches?task={task}", content=data, headers={"Content-Type": kind}
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["batch_id"])

    def status(self, batch: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(f"/v1/batches/{batch}").json()
        return answer

    def until(self, batch: str, rows: int) -> dict[str, Any]:
        """The status once so many rows are recorded, or the batch has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            now = self.status(batch)
            if now["done"] + now["failed"] >= rows or now["status"] in ("done", "cancelled"):
                return now
            assert time.monotonic() < deadline, now
            time.sleep(0.1)

    def finished(self, batch: str) -> dict[str, Any]:
        """The status once the batch has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while (now := self.status(batch))["status"] not in ("done", "cancelled"):
            assert time.monotonic() < deadline, now
            time.sleep(0.05)
        return now

    def results(self, batch: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/v1/batches/{batch}/results")
        assert answer.headers["batch-complete"] == "true"
        return [json.loads(line) for line in answer.text.splitlines()]

    def processor_seconds(self) -> float:
        """Time on any core so far (Linux): what it takes, whoever else is on the machine."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Resident memory now (Linux)."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024
