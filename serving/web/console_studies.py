"""Uploading a study for a second opinion; its case opens when the models have looked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.errors import (
    FenzhenError,
    InvalidInput,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from serving.imaging import read_study, task_of
from serving.middleware import TooLarge
from serving.security import services_of
from serving.users import Permission
from serving.web import access, forms
from serving.web.access import Member
from serving.web.pages import PageRoute, go, noted, page, preferences, words_for
from serving.web.strings import strings, translator

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/console/studies/new")
async def upload_page(request: Request) -> Response:
    """The form."""
    member = await access.reader(request, Permission.IMAGING_WRITE)
    return _form(request, member)


@router.post("/console/studies/new")
async def upload(request: Request) -> Response:
    """Read the study, record it, and open its case."""
    member, form = await access.writer(request, Permission.IMAGING_WRITE)
    services = services_of(request)
    try:
        files = forms.uploads(form, "files")
        if not files:
            raise InvalidInput("no file")
        if len(files) > services.settings.max_files:
            raise PayloadTooLarge(f"at most {services.settings.max_files} files")
        study = await read_study(
            services,
            task_of(services, forms.word(form, "task")),
            [await file.read() for file in files],
            forms.real(form, "age", 0, 125),
            member.user,
        )
    except TooLarge:
        raise
    except Exception as raised:
        error = noted(request, raised)
        if isinstance(error, Unauthenticated):
            raise
        words = _words(request, error, no_file=not forms.uploads(form, "files"))
        return _form(request, member, error.status, words, form)
    return go(f"/console/cases/{study.record.review_task_id}")


def _words(request: Request, error: FenzhenError, *, no_file: bool) -> str:
    language = preferences(request).language
    say = translator(language)
    if no_file:
        return say("study.no_file")
    if isinstance(error, UnsupportedMedia | PayloadTooLarge):
        key = f"rejected.{error.extra.get('reason', error.code)}"
        if key in strings():
            return say(key)
    if isinstance(error, InvalidInput):
        return say("study.age_wrong")
    return words_for(error, language)


def _form(
    request: Request,
    member: Member,
    status: int = 200,
    problem: str | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Response:
    services = services_of(request)
    return page(
        request,
        "console/study.html",
        status=status,
        here="/console/studies/new",
        member=member,
        problem=problem,
        typed=typed or {},
        tasks={name: services.models[name].manifest for name in services.imaging},
        max_bytes=services.settings.max_image_bytes,
        max_files=services.settings.max_files,
    )
