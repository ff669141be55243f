"""How long a request took, in the header `Server-Timing` (W3C), in milliseconds."""

from __future__ import annotations

import time

from fastapi import Response


def server_timing(started: float, queue_s: float, inference_s: float) -> str:
    """The header's value: waiting for a worker, computing, and all since the route began.

    started: `time.perf_counter()` then.
    """
    total_s = time.perf_counter() - started
    return (
        f"queue;dur={queue_s * 1e3:.2f}, inference;dur={inference_s * 1e3:.2f}, "
        f"total;dur={total_s * 1e3:.2f}"
    )


def timing_headers(response: Response, started: float, queue_s: float, inference_s: float) -> None:
    """Say it in a response."""
    response.headers["Server-Timing"] = server_timing(started, queue_s, inference_s)
