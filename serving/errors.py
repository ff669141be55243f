"""The one error hierarchy of the service, and its one shape on the wire (RFC 9457).

An error names what happened (`code`), never who it happened to: titles come from the table
below, and a `detail` is written by us from codes and numbers. Neither ever holds patient text.
Relies on nothing of HTTP; the API turns `problem()` into a response with `status` and
`headers()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from models.errors import ModelError, UnknownModel
from serving.storage.canonical import Json

Language = Literal["zh", "en"]

PROBLEM_MEDIA_TYPE = "application/problem+json"
RESERVED = frozenset({"type", "title", "status", "detail", "code", "instance", "errors"})


@dataclass(frozen=True)
class ErrorKind:
    """One row of the table of errors: what the documentation lists and the wire shows."""

    code: str
    status: int
    title_en: str
    title_zh: str


ERROR_KINDS: Mapping[str, ErrorKind] = {
    kind.code: kind
    for kind in (
        ErrorKind("invalid_input", 422, "The input is not valid", "输入无效"),
        ErrorKind("unsupported_language", 422, "This language is not supported", "不支持该语言"),
        ErrorKind("payload_too_large", 413, "The content is too large", "内容过大"),
        ErrorKind("unsupported_media", 415, "This media type is not supported", "不支持该媒体类型"),
        ErrorKind("not_acceptable", 406, "No form that you accept is here", "没有可接受的格式"),
        ErrorKind("unauthenticated", 401, "A valid API key is required", "需要有效的 API 密钥"),
        ErrorKind("forbidden", 403, "This role may not do that", "当前角色无此权限"),
        ErrorKind("not_found", 404, "There is no such thing here", "未找到"),
        ErrorKind("method_not_allowed", 405, "This method is not allowed here", "不允许该请求方法"),
        ErrorKind(
            "conflict", 409, "The request conflicts with the present state", "与当前状态冲突"
        ),
        ErrorKind("already_signed", 409, "The decision is already signed", "该决定已签署"),
        ErrorKind("already_leased", 409, "Another reader holds the task", "该任务已被他人领取"),
        ErrorKind("lease_lost", 409, "The lease is no longer held", "任务租约已失效"),
        ErrorKind(
            "illegal_move", 409, "The task's state does not allow that", "任务状态不允许此操作"
        ),
        ErrorKind("version_conflict", 409, "Someone else changed it first", "内容已被他人更改"),
        ErrorKind("no_capacity", 409, "No place is left", "号源已满"),
        ErrorKind("idempotency_conflict", 409, "The key was used before", "幂等键已被使用"),
        ErrorKind("too_busy", 429, "The service is too busy", "服务繁忙"),
        ErrorKind("internal_error", 500, "Something went wrong inside", "内部错误"),
        ErrorKind("model_unavailable", 503, "The model is not available", "模型暂不可用"),
        ErrorKind("storage_unavailable", 503, "The records are not available", "存储暂不可用"),
        ErrorKind("deadline_exceeded", 504, "The answer came too late", "处理超时"),
    )
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer (RFC 6901) and a sentence without its value."""

    pointer: str
    detail: str


class FenzhenError(Exception):
    """Base of every error the service answers with. `detail` must hold no patient text."""

    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        extra: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = dict(extra or {})
        if taken := RESERVED & self.extra.keys():
            raise ValueError(f"extra members may not replace {sorted(taken)}")

    @property
    def kind(self) -> ErrorKind:
        """The error's row in the table."""
        return ERROR_KINDS[self.code]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    def title(self, language: Language = "en") -> str:
        """What happened, in one line that is the same for every error of this code."""
        return self.kind.title_zh if language == "zh" else self.kind.title_en

    def headers(self) -> dict[str, str]:
        """Response headers that belong to the error."""
        return {}


class InvalidInput(FenzhenError):
    """A value is missing, of the wrong type or out of range; `errors` says which."""

    code = "invalid_input"


class UnsupportedLanguage(FenzhenError):
    """Text in a language that no loaded model reads."""

    code = "unsupported_language"


class PayloadTooLarge(FenzhenError):
    """More bytes, characters or items than the settings allow."""

    code = "payload_too_large"


class UnsupportedMedia(FenzhenError):
    """A content type or file format that is not read here."""

    code = "unsupported_media"


class NotAcceptable(FenzhenError):
    """None of the media types that the caller accepts can be given."""

    code = "not_acceptable"


class Unauthenticated(FenzhenError):
    """No key, an unknown key or a disabled user."""

    code = "unauthenticated"

    def headers(self) -> dict[str, str]:
        """The challenge that RFC 9110 asks of a 401."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(FenzhenError):
    """The user is known, and may not do this."""

    code = "forbidden"


class NotFound(FenzhenError):
    """No such resource, or none that this caller may know of."""

    code = "not_found"


class MethodNotAllowed(FenzhenError):
    """The route exists, the method does not."""

    code = "method_not_allowed"


class Conflict(FenzhenError):
    """The request does not fit the present state. Base of the more exact conflicts."""

    code = "conflict"


class AlreadySigned(Conflict):
    """The review task is closed: it has its one signature."""

    code = "already_signed"


class AlreadyLeased(Conflict):
    """Another reader holds an unexpired lease on the task."""

    code = "already_leased"


class LeaseLost(Conflict):
    """The lease expired or was taken over: the fencing token is no longer the current one."""

    code = "lease_lost"


class IllegalMove(Conflict):
    """The table of moves has no such move from the task's state."""

    code = "illegal_move"


class VersionConflict(Conflict):
    """Optimistic locking: the row changed since the caller read it."""

    code = "version_conflict"


class NoCapacity(Conflict):
    """The doctor's day has no place left."""

    code = "no_capacity"


class IdempotencyConflict(Conflict):
    """The idempotency key belongs to another request, or to one that is under way."""

    code = "idempotency_conflict"


class TooBusy(FenzhenError):
    """A bounded queue is full. `retry_after` is in whole seconds, at least one."""

    code = "too_busy"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = max(1, retry_after)

    def headers(self) -> dict[str, str]:
        """When to come again."""
        return {"Retry-After": str(self.retry_after)}


class DeadlineExceeded(FenzhenError):
    """The caller's deadline passed before the answer was there."""

    code = "deadline_exceeded"


class ModelUnavailable(FenzhenError):
    """The model is not loaded, not licensed here or not intact."""

    code = "model_unavailable"


class StorageUnavailable(FenzhenError):
    """The database cannot be reached or stayed locked."""

    code = "storage_unavailable"


class InternalError(FenzhenError):
    """A fault of ours. Says nothing about its cause on the wire."""

    code = "internal_error"


def from_exception(error: Exception) -> FenzhenError:
    """The service's error for any exception; what is not known becomes a bare InternalError.

    The message of a foreign exception is dropped: it may quote the input.
    """
    if isinstance(error, FenzhenError):
        return error
    if isinstance(error, UnknownModel):
        return NotFound("no such model or version")
    if isinstance(error, ModelError):
        return ModelUnavailable()
    return InternalError()


def problem(
    error: FenzhenError, instance: str | None = None, *, language: Language = "en"
) -> dict[str, Json]:
    """The error as an RFC 9457 object: type, title, status, code and, where known, the rest.

    `instance` is the request's path or its id. `errors` lists `{pointer, detail}`.
    """
    body: dict[str, Json] = {
        "type": f"urn:fenzhen:problem:{error.code}",
        "title": error.title(language),
        "status": error.status,
        "code": error.code,
        **error.extra,
    }
    if error.detail:
        body["detail"] = error.detail
    if instance is not None:
        body["instance"] = instance
    if error.errors:
        body["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in error.errors]
    return body
