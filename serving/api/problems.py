"""Every error leaves in one shape: RFC 9457 problem+json, in the caller's language."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException

from knowledge_base.language import Language
from models.errors import ModelError
from models.imaging.decode import ImageRejected
from serving.engine.inference import DeadlinePassed, EngineStopped, QueueFull, TooManyRows
from serving.errors import (
    PROBLEM_MEDIA_TYPE,
    DeadlineExceeded,
    FenzhenError,
    FieldError,
    InvalidInput,
    MethodNotAllowed,
    ModelUnavailable,
    NotFound,
    PayloadTooLarge,
    TooBusy,
    Unauthenticated,
    UnsupportedMedia,
    from_exception,
    problem,
)
from serving.inference_protocol.errors import error_response, is_inference
from serving.storage.canonical import dumps

log = structlog.get_logger()

_MACHINE_PATHS = (
    "/v1/",
    "/dicom-web/",
    "/health/",
    "/metrics",
    "/openapi.json",
    "/static/",
)
_PLAIN_NAME = re.compile(r"[a-z][a-z_]{0,40}")
_BY_STATUS: dict[int, type[FenzhenError]] = {
    401: Unauthenticated,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMedia,
}


def preferred_language(request: Request) -> Language:
    """Chinese when the caller's first language is Chinese."""
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def _step(part: int | str) -> str:
    """A step of a JSON pointer; a key that is no plain name may be the caller's own words."""
    return str(part) if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "*"


def as_error(error: Exception) -> FenzhenError:
    """The service's own error for anything that a route can raise. Holds no patient text."""
    if isinstance(error, RequestValidationError):
        return InvalidInput(
            "the request does not fit its description",
            errors=[
                FieldError(
                    "/" + "/".join(map(_step, fault["loc"][1:])),
                    # Messages of pydantic name limits and types; those that quote are cut.
                    str(fault["msg"]).split(", input", 1)[0],
                )
                for fault in error.errors()
            ],
        )
    if isinstance(error, QueueFull):
        return TooBusy("the model's queue is full", retry_after=round(error.retry_after_s + 0.5))
    if isinstance(error, TooManyRows):
        return PayloadTooLarge(f"at most {error.most} rows in one request")
    if isinstance(error, DeadlinePassed):
        return DeadlineExceeded("the model did not answer in time")
    if isinstance(error, EngineStopped):
        return ModelUnavailable("the server is stopping")
    if isinstance(error, ImageRejected):
        refused = PayloadTooLarge if error.code == "too_large" else UnsupportedMedia
        return refused(error.message, extra={"reason": error.code})
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, InvalidInput)
        return kind()
    return from_exception(error)


def respond(request: Request, error: FenzhenError) -> Response:
    """The problem as a response; in the words of their protocol for callers of `/v2`."""
    if is_inference(request.url.path):
        return error_response(error, preferred_language(request))
    body = problem(error, request.url.path, language=preferred_language(request))
    return Response(
        dumps(body), error.status, headers=error.headers(), media_type=PROBLEM_MEDIA_TYPE
    )


class Problems:
    """Turns what was raised into an answer: problem+json, or a page where a person looks.

    `page` draws an error for people; the API and its tools never get one.
    """

    def __init__(
        self, registry: CollectorRegistry, page: Callable[[Request, Exception], Response]
    ) -> None:
        self._page = page
        self._counter = Counter(
            "fenzhen_problems", "Errors answered, by code.", ["code"], registry=registry
        )

    def __call__(self, request: Request, raised: Exception) -> Response:
        """The response to an exception."""
        if _for_people(request):
            return self._page(request, raised)
        return respond(request, self.note(request, raised))

    def note(self, request: Request, raised: Exception) -> FenzhenError:
        """The error of an exception, counted. A fault of ours is logged by kind and place only."""
        error = as_error(raised)
        self._counter.labels(error.code).inc()
        if error.status >= 500:
            log.error(
                "failed",
                code=error.code,
                route=getattr(request.scope.get("route"), "path", ""),
                exception=type(raised).__name__,
                where=where(raised),
            )
        return error


def where(raised: Exception) -> list[str]:
    """The last places that an exception came through; its message may quote the input."""
    frames = traceback.extract_tb(raised.__traceback__)[-6:]
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]


def _for_people(request: Request) -> bool:
    path = request.url.path
    machine = path.startswith(_MACHINE_PATHS) or is_inference(path)
    return not machine and "text/html" in request.headers.get("accept", "")


_KINDS: tuple[type[Exception], ...] = (
    FenzhenError,
    ModelError,
    QueueFull,
    TooManyRows,
    DeadlinePassed,
    EngineStopped,
    RequestValidationError,
    HTTPException,
)


def install(app: FastAPI, problems: Problems) -> None:
    """Answer the exceptions that routes are known to raise; the rest reach the middleware."""
    for kind in _KINDS:
        app.add_exception_handler(kind, problems)
    app.state.problems = problems
