"""One shape for every error, one row in the table for every code, and no patient text in any."""

from __future__ import annotations

import inspect
import json

import pytest

from models.errors import ModelIntegrityError, UnknownModel
from serving import errors
from serving.errors import (
    ERROR_KINDS,
    FenzhenError,
    FieldError,
    InternalError,
    InvalidInput,
    TooBusy,
    Unauthenticated,
    from_exception,
    problem,
)

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, FenzhenError) and found is not FenzhenError
]


def test_every_error_class_has_its_own_row_and_every_row_its_class() -> None:
    codes = [found.code for found in CLASSES]
    assert sorted(codes) == sorted(ERROR_KINDS)


@pytest.mark.parametrize("kind", ERROR_KINDS.values(), ids=lambda kind: kind.code)
def test_every_code_has_a_client_or_server_status_and_two_titles(kind: errors.ErrorKind) -> None:
    assert 400 <= kind.status < 600
    assert kind.title_en.isascii()
    assert kind.title_en
    assert any("\u4e00" <= character <= "\u9fff" for character in kind.title_zh)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid_input", 422),
        ("unsupported_language", 422),
        ("payload_too_large", 413),
        ("unsupported_media", 415),
        ("unauthenticated", 401),
        ("forbidden", 403),
        ("not_found", 404),
        ("already_signed", 409),
        ("lease_lost", 409),
        ("illegal_move", 409),
        ("too_busy", 429),
        ("deadline_exceeded", 504),
        ("model_unavailable", 503),
        ("internal_error", 500),
    ],
)
def test_what_happened_decides_the_status(code: str, status: int) -> None:
    assert ERROR_KINDS[code].status == status


def test_a_problem_names_the_fields_without_their_values() -> None:
    error = InvalidInput(
        "two fields are wrong",
        errors=[FieldError("/age", "0 to 130"), FieldError("/sex", "male or female")],
        extra={"limit": 130},
    )
    assert problem(error, "/v1/triage", language="zh") == {
        "type": "urn:fenzhen:problem:invalid_input",
        "title": "输入无效",
        "status": 422,
        "code": "invalid_input",
        "detail": "two fields are wrong",
        "instance": "/v1/triage",
        "limit": 130,
        "errors": [
            {"pointer": "/age", "detail": "0 to 130"},
            {"pointer": "/sex", "detail": "male or female"},
        ],
    }


def test_a_problem_without_more_to_say_says_no_more() -> None:
    assert set(problem(InternalError())) == {"type", "title", "status", "code"}


def test_extra_members_cannot_pose_as_the_standard_ones() -> None:
    with pytest.raises(ValueError, match="status"):
        InvalidInput(extra={"status": 200})


def test_a_foreign_exception_is_an_internal_error_that_quotes_nothing() -> None:
    error = from_exception(ValueError("患者说头痛"))
    assert error.status == 500
    assert "头痛" not in json.dumps(problem(error), ensure_ascii=False)


def test_model_errors_have_their_own_codes() -> None:
    assert from_exception(UnknownModel("m")).code == "not_found"
    assert from_exception(ModelIntegrityError("/secret/path")).code == "model_unavailable"
    assert "secret" not in json.dumps(problem(from_exception(ModelIntegrityError("/secret"))))


def test_an_error_of_ours_stays_what_it_is() -> None:
    error = TooBusy(retry_after=7)
    assert from_exception(error) is error


def test_headers_tell_the_caller_what_to_do() -> None:
    assert TooBusy(retry_after=7).headers() == {"Retry-After": "7"}
    assert TooBusy(retry_after=0).headers() == {"Retry-After": "1"}
    assert Unauthenticated().headers() == {"WWW-Authenticate": "Bearer"}
    assert InternalError().headers() == {}
