"""What wraps every request: a body limit, a request id, security headers, one log line."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.clock import Ids
from serving.errors import PayloadTooLarge
from serving.settings import Settings

log = structlog.get_logger()

_MULTIPART_OVERHEAD = 64_000
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}
_STOW = "/dicom-web/studies"
_BATCHES = "/v1/batches"
_UNCACHED = ("/v1/", "/dicom-web/", "/console", "/chat")


class TooLarge(Exception):
    """The body grew beyond its limit while it was read."""


class Guard:
    """ASGI middleware; see the module docstring. Never logs a body, a query or a header."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        registry: CollectorRegistry,
        ids: Ids,
        failed: Callable[[Request, Exception], Response],
    ) -> None:
        """`failed` answers what no handler of the application knew."""
        self._failed = failed
        self._app = app
        self._settings = settings
        self._ids = ids
        self._requests = Counter(
            "fenzhen_http_requests", "Requests answered.", ["route", "method", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "fenzhen_http_seconds", "Time to the end of the answer.", ["route"],
            registry=registry,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = self._ids.new("req")
        status = 500
        sent = False

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(_UNCACHED):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        limit = self._limit(scope)
        length = Headers(scope=scope).get("content-length", "0")
        try:
            if not length.isdigit() or int(length) > limit:
                raise TooLarge
            await self._app(scope, _limited(receive, limit), sending)
        except TooLarge:
            if not sent:
                await self._answer(scope, sending, PayloadTooLarge(f"at most {limit} bytes"))
        except Exception as error:
            # Nothing travels further up: a server would print it with what the patient typed.
            if not sent:
                await self._answer(scope, sending, error)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            took = time.perf_counter() - started
            self._requests.labels(route, scope["method"], str(status)).inc()
            self._seconds.labels(route).observe(took)
            log.info(
                "request",
                id=request_id,
                method=scope["method"],
                route=route,
                status=status,
                ms=round(took * 1e3, 1),
            )

    async def _answer(self, scope: Scope, send: Send, error: Exception) -> None:
        response = self._failed(Request(scope), error)
        response.headers["Connection"] = "close"
        await response(scope, _nothing, send)

    def _limit(self, scope: Scope) -> int:
        kind = Headers(scope=scope).get("content-type", "").lower()
        if kind.startswith("multipart/form-data"):
            return self._settings.max_image_bytes + _MULTIPART_OVERHEAD
        if scope["path"].startswith(_STOW) and kind.startswith("multipart/related"):
            return self._settings.max_stow_bytes
        if scope["path"] == _BATCHES:
            return self._settings.batch_max_bytes
        return self._settings.max_body_bytes


def _limited(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge
        return message

    return receiving


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
