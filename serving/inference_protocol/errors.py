"""Errors as the protocol has them: `{"error": "one sentence"}` with the HTTP status."""

from __future__ import annotations

import orjson
from starlette.responses import Response

from serving.errors import FenzhenError, Language

_PREFIX = "/v2"


def is_inference(path: str) -> bool:
    """Whether a path is the protocol's, and its errors have to be, too."""
    return path == _PREFIX or path.startswith(_PREFIX + "/")


def error_response(error: FenzhenError, language: Language) -> Response:
    """The error as a response; what is 422 elsewhere is 400 in the protocol."""
    body = orjson.dumps({"error": error.detail or error.title(language)})
    status = 400 if error.status == 422 else error.status
    return Response(body, status, headers=error.headers(), media_type="application/json")
