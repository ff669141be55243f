"""A real server with a client that sends batches to it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from serving.storage.codes import Role
from tests.servers import ServerProcess

DEADLINE_S = 600.0


@dataclass
class BatchServer(ServerProcess):
    """A server, the key of an administrator and a client that uses it."""

    start_s: float = 600.0
    key: str = field(init=False)
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.add_user("Owner", Role.ADMINISTRATOR)
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
            # A server that is starved may close an idle connection just as it is used again.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def close(self) -> None:
        """End it however it stands."""
        super().close()
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
