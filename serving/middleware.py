"""What wraps every request: a body limit, a request id, security headers, one log line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
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
_Header: TypeAlias = tuple[bytes, bytes]
_SECURITY = [(n.lower().encode(), v.encode()) for n, v in SECURITY_HEADERS.items()]
_NO_SNIFF = _SECURITY[0]
_NO_STORE = (b"cache-control", b"no-store")
_STOW = "/dicom-web/studies"
_BATCHES = "/v1/batches"
_TENSORS = "/v2/models/"
"""Answers for machines: what protects a page says nothing there, and costs at every request."""
_CALLER_LEFT = 499
"""Nothing was answered because nobody listens any more: nginx's number, in log and metrics only."""
_COUNTED = "/infer"
"""Thousands a second of a machine's calls: counted in the metrics, listed at level debug only."""
_UNCACHED = ("/v1/", "/v2/", "/dicom-web/", "/console", "/chat")


class TooLarge(Exception):
    """The body grew beyond its limit while it was read."""


class Guard:
    """ASGI middleware; see the module docstring. Never logs a body, a query or a header."""

    _app: ASGIApp

    def __init__(
        self,
        *,
        settings: Settings,
        registry: CollectorRegistry,
        ids: Ids,
        failed: Callable[[Request, Exception], Response],
        shortcut: Callable[[Scope], ASGIApp | None] = lambda _scope: None,
    ) -> None:
        """`failed` answers what no handler of the application knew. `shortcut` finds the route of
        a request that need not go the long way through the application.
        """
        self._failed = failed
        self._shortcut = shortcut
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
        self._kinds: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def around(self, app: ASGIApp) -> Guard:
        """This guard, with the application behind it."""
        self._app = app
        return self

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
                message["headers"] = _with_ours(message.get("headers", ()), scope, request_id)
            await send(message)

        length, kind = _body_of(scope)
        limit = self._limit(scope["path"], kind)
        try:
            if not length.isdigit() or int(length) > limit:
                raise TooLarge
            app = self._shortcut(scope) or self._app
            await app(scope, _limited(receive, limit), sending)
            if not sent:
                status = _CALLER_LEFT
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
            self._count(route, scope["method"], status, took)
            counted = route.endswith(_COUNTED) and status < 500
            (log.debug if counted else log.info)(
                "request",
                id=request_id,
                method=scope["method"],
                route=route,
                status=status,
                ms=round(took * 1e3, 1),
            )

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        kind = (route, method, status)
        found = self._kinds.get(kind)
        if found is None:  # looking labels up costs as much as counting
            found = self._requests.labels(route, method, str(status)), self._seconds.labels(route)
            self._kinds[kind] = found
        counter, histogram = found
        counter.inc()
        histogram.observe(seconds)

    async def _answer(self, scope: Scope, send: Send, error: Exception) -> None:
        response = self._failed(Request(scope), error)
        response.headers["Connection"] = "close"
        await response(scope, _nothing, send)

    def _limit(self, path: str, kind: bytes) -> int:
        if kind.startswith(b"multipart/form-data"):
            return self._settings.max_image_bytes + _MULTIPART_OVERHEAD
        if path.startswith(_STOW) and kind.startswith(b"multipart/related"):
            return self._settings.max_stow_bytes
        if path == _BATCHES:
            return self._settings.batch_max_bytes
        if path.startswith(_TENSORS):
            return self._settings.max_tensor_bytes
        return self._settings.max_body_bytes


def _body_of(scope: Scope) -> tuple[bytes, bytes]:
    """What the request says of its body: Content-Length and, in small letters, Content-Type."""
    length, kind = b"0", b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            kind = value.lower()
    return length, kind


def _with_ours(headers: Iterable[_Header], scope: Scope, request_id: str) -> list[_Header]:
    """A response's headers with those that every response has; a route's own go first."""
    given = list(headers)
    names = {name for name, _ in given}
    given.append((b"x-request-id", request_id.encode("ascii")))
    if scope["path"].startswith(_TENSORS):
        given.append(_NO_SNIFF)
        return given
    given.extend(header for header in _SECURITY if header[0] not in names)
    if b"cache-control" not in names and scope["path"].startswith(_UNCACHED):
        given.append(_NO_STORE)
    return given


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
