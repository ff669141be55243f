"""Callers of a real server, each on a connection of his own, and what became of every request."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

PATH = "/v2/models/sleep/infer"


@dataclass
class Load:
    """Asks the synthetic model again and again from several threads until it is stopped.

    `seen` counts the outcomes: a status, `wrong` for an answer that is not the caller's, `cut` for
    a request that was sent and never answered, `refused` for a connection that was not made.
    """

    port: int
    key: str
    callers: int = 8
    seen: Counter[str] = field(default_factory=Counter)
    succeeded: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number in range(self.callers):
            thread = threading.Thread(target=self._call, args=(float(number),), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_raised: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a caller was never answered"

    def until(self, outcome: str, count: int, within_s: float = 60.0) -> None:
        """Wait until an outcome was seen that often from now on."""
        deadline = time.monotonic() + within_s
        wanted = self.seen[outcome] + count
        while self.seen[outcome] < wanted:
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.01)

    def _call(self, number: float) -> None:
        connection = self._connection()
        while not self._over.is_set():
            number += 1000.0
            outcome = self._ask(connection, number)
            self.seen[outcome] += 1
            if outcome == "200":
                self.succeeded.append(time.monotonic())
            elif outcome in {"cut", "refused"}:
                connection.close()
                connection = self._connection()
                time.sleep(0.02)
        connection.close()

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=40)

    def _ask(self, connection: HTTPConnection, number: float) -> str:
        tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [number, -number]}
        try:
            if connection.sock is None:
                connection.connect()
        except OSError:
            return "refused"
        try:
            connection.request(
                "POST",
                PATH,
                json.dumps({"inputs": [tensor]}),
                {"Authorization": f"Bearer {self.key}"},
            )
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, HTTPException):
            return "cut"
        if response.status == 200 and body["outputs"][0]["data"] != [number, -number]:
            return "wrong"
        return str(response.status)
