"""Forms of the pages: read once, from this site only, with small typed readers for fields."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from serving.errors import FieldError, Forbidden, InvalidInput


async def posted(request: Request) -> FormData:
    """The form; raises Forbidden where the browser says that another site sent it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("the form came from another site")
    return await request.form()


def word(form: FormData, name: str, limit: int = 200) -> str:
    """A text field without spaces around; empty where it is missing. Raises InvalidInput."""
    value = form.get(name)
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > limit:
        raise InvalidInput(errors=[FieldError(f"/{name}", f"at most {limit} characters")])
    return text


def ticked(form: FormData, name: str) -> bool:
    """Whether a box is ticked."""
    return word(form, name) == "yes"


def real(form: FormData, name: str, low: float, high: float) -> float | None:
    """A number within limits; None where the field is empty. Raises InvalidInput."""
    text = word(form, name, 20)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InvalidInput(errors=[FieldError(f"/{name}", f"a number from {low:g} to {high:g}")])
    return value


def whole(form: FormData, name: str, low: int, high: int) -> int | None:
    """A whole number within limits; None where the field is empty. Raises InvalidInput."""
    value = real(form, name, low, high)
    if value is not None and value != int(value):
        raise InvalidInput(errors=[FieldError(f"/{name}", "a whole number")])
    return None if value is None else int(value)


def uploads(form: FormData, name: str) -> list[UploadFile]:
    """The chosen files: an empty file field is none."""
    return [f for f in form.getlist(name) if isinstance(f, UploadFile) and f.filename]


def token_of(secret: str) -> str:
    """The token that forms of one consult carry, from the consult's secret."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def check_token(form: FormData, expected: str) -> None:
    """Raise Forbidden unless the form carries the token."""
    given = form.get("csrf")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden("the form's token is missing or wrong")
