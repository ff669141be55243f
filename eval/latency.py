"""Latency of a running server at one caller: medians and tails over HTTP on loopback.

    python -m eval.latency --url http://127.0.0.1:8000 --key KEY --physician KEY [--xray FILE]

A closed loop of one caller with a kept-alive connection; the first tenth is warm-up and not
counted. Beside each route `GET /health/live` is timed in turn, as the floor of this machine
and server, so that the figures can be compared between machines.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

COMPLAINTS = (
    "胸口压榨样疼痛30分钟，出冷汗，左胳膊也疼",
    "嗓子疼两天，有点咳嗽，没有发烧，没有胸痛",
    "孩子3岁，发烧39度，精神不好，不想喝水",
    "最近半个月总是头晕，以前有高血压，血压150/95",
    "Headache and dizziness for 3 days, no fainting, no weakness",
    "My mother is 72, she suddenly has slurred speech and her right arm is weak",
    "肚子疼拉肚子一天，吐了两次，没有血",
    "Itchy rash on both arms after a new detergent, no breathing issues",
)


class Caller:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def time_ms(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> float:
        """Milliseconds from the first byte sent to the last received; raises on an error status."""
        start = time.perf_counter()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        took = (time.perf_counter() - start) * 1e3
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {data[:200]!r}")
        return took


def measure(calls: dict[str, Callable[[int], float]], rounds: int) -> dict[str, dict[str, float]]:
    """p50, p90 and p99 in ms of each named call, interleaved round by round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in track(range(rounds), "measuring", console=Console(stderr=True)):
        for name, call in calls.items():
            times[name].append(call(i))
    skip = rounds // 10
    return {
        name: {f"p{q}": round(float(np.percentile(t[skip:], q)), 2) for q in (50, 90, 99)}
        for name, t in times.items()
    }


def _form(data: bytes, fields: dict[str, str]) -> tuple[bytes, str]:
    boundary = "fenzhen-latency"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        for k, v in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
    return b"".join([*parts, head.encode(), data, f"\r\n--{boundary}--\r\n".encode()]), boundary


def main() -> None:
    """Measure and print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", required=True)
    parser.add_argument("--physician", required=True)
    parser.add_argument("--xray", type=Path, help="a 224x224 radiograph; a grey ramp by default")
    parser.add_argument("--rounds", type=int, default=300)
    given = parser.parse_args()
    caller = Caller(given.url)
    if given.xray is None:
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize((224, 224)).save(buffer, format="PNG")
        picture = buffer.getvalue()
    else:
        picture = given.xray.read_bytes()
    form, boundary = _form(picture, {"age_years": "3"})
    text = {"Authorization": f"Bearer {given.key}", "Content-Type": "application/json"}
    image = {
        "Authorization": f"Bearer {given.physician}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    bodies = [json.dumps({"text": c}).encode() for c in COMPLAINTS]
    figures = measure(
        {
            "health": lambda _i: caller.time_ms("GET", "/health/live", b"", {}),
            "triage": lambda i: caller.time_ms("POST", "/v1/triage", bodies[i % len(bodies)], text),
            "xray": lambda _i: caller.time_ms("POST", "/v1/imaging/studies", form, image),
        },
        given.rounds,
    )
    table = Table("call", "p50 ms", "p90 ms", "p99 ms")
    for name, row in figures.items():
        table.add_row(name, *(f"{v:.1f}" for v in row.values()))
    Console(stderr=True).print(table)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
