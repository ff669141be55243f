"""What all pages share: the templates, the reader's preferences, cookies and the error page.

Templates always escape. Pages are never cached, and no address ever holds a patient's words.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from knowledge_base.language import Language
from knowledge_base.library.origin import licences
from serving.api.problems import Problems
from serving.errors import FenzhenError, Unauthenticated
from serving.middleware import TooLarge
from serving.security import services_of
from serving.web import places, static, wording
from serving.web.finding_words import finding_details
from serving.web.strings import strings, translator

TEMPLATES = Path(__file__).with_name("templates")
LANGUAGE_COOKIE, TYPE_COOKIE = "fenzhen_lang", "fenzhen_type"
YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Preferences:
    """How the reader wants pages. `chosen`: the language was asked for, not assumed."""

    language: Language = "zh"
    chosen: bool = False
    large: bool = False


def preferences(request: Request) -> Preferences:
    """From `?lang=` and `?type=`, else from the cookies that they set; Chinese by default."""
    asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
    size = request.query_params.get("type") or request.cookies.get(TYPE_COOKIE)
    return Preferences(
        language="en" if asked == "en" else "zh",
        chosen=asked in ("zh", "en"),
        large=size == "large",
    )


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates with their filters: escaping on, undefined names are errors."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "moment": wording.moment,
        "span": wording.span,
        "age": wording.age,
        "percent": wording.percent,
        "number": wording.number,
        "details": finding_details,
        "anchor": places.anchor,
        "passage_address": places.passage_address,
        "document_address": places.document_address,
    }
    found.globals |= {
        "static_url": static.url,
        "translator": translator,
        "strings": strings(),
        "licences": licences(),
    }
    return found


def draw(template: str, wanted: Preferences, **context: object) -> str:
    """A template as HTML, with the words of the reader's language at hand as `t`."""
    return (
        environment()
        .get_template(template)
        .render(t=translator(wanted.language), lang=wanted.language, prefs=wanted, **context)
    )


def page(request: Request, template: str, *, status: int = 200, **context: object) -> Response:
    """A page or a fragment in the reader's language; keeps what the address asked for."""
    wanted = preferences(request)
    here = str(context.setdefault("here", request.url.path))
    kept = dict(request.query_params) if here == request.url.path else {}

    def link(**changes: str) -> str:
        """This page with other preferences."""
        return f"{here}?{urlencode(kept | changes)}"

    context["link"] = link
    context.setdefault("emergency", services_of(request).settings.emergency_number)
    response = HTMLResponse(draw(template, wanted, **context), status)
    response.headers["Cache-Control"] = "no-store"
    return _remember(request, response)


def keep(response: Response, request: Request, name: str, value: str, **more: Any) -> None:
    """Set a cookie that scripts cannot read and other sites never send."""
    response.set_cookie(
        name, value, httponly=True, samesite="strict", secure=request.url.scheme == "https", **more
    )


def go(address: str) -> RedirectResponse:
    """On to a page after a form."""
    return RedirectResponse(address, 303, headers={"Cache-Control": "no-store"})


def is_htmx(request: Request) -> bool:
    """Whether htmx asked, so that a fragment is enough."""
    return request.headers.get("hx-request") == "true"


def words_for(error: FenzhenError, language: Language) -> str:
    """What a page says of an error: our words for its code, else the error's own title."""
    known = strings().get(f"problem.{error.code}")
    return error.title(language) if known is None else known[language]


def noted(request: Request, raised: Exception) -> FenzhenError:
    """The service's error for what was raised, counted and, if a fault of ours, logged."""
    problems: Problems = request.app.state.problems
    return problems.note(request, raised)


def failed(request: Request, raised: Exception) -> Response:
    """The friendly page for what a route raised; the sign-in page where one is needed."""
    error = noted(request, raised)
    if isinstance(error, Unauthenticated):
        wish = request.url.path if request.method == "GET" else "/console"
        address = f"/console/signin?next={quote(wish)}"
        if is_htmx(request):
            return Response(status_code=204, headers={"HX-Redirect": "/console/signin"})
        return _remember(request, go(address))
    words = words_for(error, preferences(request).language)
    home = "/console" if request.url.path.startswith("/console") else "/"
    return page(
        request,
        "error.html",
        status=error.status,
        words=words,
        code=error.code,
        home=home,
        here=home,
    )


def _remember(request: Request, response: Response) -> Response:
    """Keep in cookies what the address says of language and type size."""
    for name, parameter, values in (
        (LANGUAGE_COOKIE, "lang", ("zh", "en")),
        (TYPE_COOKIE, "type", ("large", "normal")),
    ):
        value = request.query_params.get(parameter)
        if value in values:
            # Readable by our script: the type size changes without a reload.
            response.set_cookie(name, str(value), max_age=YEAR, samesite="strict")
    return response


class PageRoute(APIRoute):
    """A route whose errors are pages for people, not problem+json."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler with `failed` around it."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except TooLarge:
                raise
            except Exception as raised:
                return failed(request, raised)

        return handler
