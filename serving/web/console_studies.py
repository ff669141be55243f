"""Uploading a study for a second opinion; its case opens when the models have looked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from knowledge_base.language import Language
from models.imaging.context import SEXES, SITES
from models.imaging.decode import ImageRejected
from models.manifest import Manifest
from serving.api.problems import as_error
from serving.errors import (
    FenzhenError,
    FieldError,
    InvalidInput,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from serving.imaging import read_study, task_of
from serving.middleware import TooLarge
from serving.security import services_of
from serving.uploads import opened
from serving.users import Permission
from serving.web import access, forms
from serving.web.access import Member
from serving.web.pages import PageRoute, go, is_htmx, noted, page, preferences, words_for
from serving.web.strings import strings, translator

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/console/studies/new")
async def upload_page(request: Request) -> Response:
    """The form."""
    member = await access.reader(request, Permission.IMAGING_WRITE)
    return _form(request, member)


@router.post("/console/studies/new")
async def upload(request: Request) -> Response:
    """Read the study, record it, and open its case.

    The page's script asks for the address of the case instead of the case itself, so that it can
    show how far the upload is.
    """
    member, form = await access.writer(request, Permission.IMAGING_WRITE)
    services = services_of(request)
    contents: list[bytes] = []
    try:
        files = forms.uploads(form, "files")
        if not files:
            raise InvalidInput("no file")
        if len(files) > services.settings.max_files:
            raise PayloadTooLarge(f"at most {services.settings.max_files} files")
        age = forms.real(form, "age", 0, 125)
        task = task_of(services, forms.word(form, "task"))
        contents.extend([await file.read() for file in files])
        study = await read_study(
            services,
            task,
            contents,
            age,
            member.user,
            sex=_one_of(form, "sex", SEXES),
            site=_one_of(form, "site", SITES),
        )
    except TooLarge:
        raise
    except Exception as raised:
        error = noted(request, raised)
        if isinstance(error, Unauthenticated):
            raise
        wrong = await _wrong_files(request, contents) if isinstance(raised, ImageRejected) else {}
        words = _words(request, error, wrong, no_file=not forms.uploads(form, "files"))
        return _form(request, member, error.status, words, form, wrong)
    case = f"/console/cases/{study.record.review_task_id}"
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": case})
    return go(case)


def _one_of(form: FormData, name: str, known: Collection[str]) -> str | None:
    """A chosen code; None where nothing was chosen. Raises InvalidInput."""
    chosen = forms.word(form, name)
    if chosen and chosen not in known:
        raise InvalidInput(errors=[FieldError(f"/{name}", "one of the choices")])
    return chosen or None


async def _wrong_files(request: Request, contents: Sequence[bytes]) -> dict[int, str]:
    """What is wrong with each file, in words, by its number: all of them, not the first alone."""
    language = preferences(request).language
    wrong: dict[int, str] = {}
    for number, data in enumerate(contents):
        try:
            async with opened(services_of(request), data, None):
                pass
        except ImageRejected as rejected:
            wrong[number] = _rejection(as_error(rejected), language)
    return wrong


def _rejection(error: FenzhenError, language: Language) -> str:
    """What is said of a file that is not read."""
    key = f"rejected.{error.extra.get('reason', error.code)}"
    return translator(language)(key) if key in strings() else words_for(error, language)


def _words(
    request: Request, error: FenzhenError, wrong: Mapping[int, str], *, no_file: bool
) -> str:
    language = preferences(request).language
    say = translator(language)
    if no_file:
        return say("study.no_file")
    if len(wrong) == 1:
        return next(iter(wrong.values()))
    if wrong:
        return say("study.files_wrong", n=len(wrong))
    if isinstance(error, UnsupportedMedia | PayloadTooLarge):
        return _rejection(error, language)
    if any(fault.pointer == "/age" for fault in error.errors):
        return say("study.age_wrong")
    return words_for(error, language)


def _form(
    request: Request,
    member: Member,
    status: int = 200,
    problem: str | None = None,
    typed: Mapping[str, Any] | None = None,
    wrong: Mapping[int, str] | None = None,
) -> Response:
    services = services_of(request)
    hosted = services.hosted
    tasks = {name: hosted.models[name].manifest for name in hosted.imaging}
    return page(
        request,
        "console/study.html",
        status=status,
        here="/console/studies/new",
        member=member,
        problem=problem,
        file_problems=wrong or {},
        typed=typed or {},
        tasks=tasks,
        sites=SITES if any(_takes_context(manifest) for manifest in tasks.values()) else (),
        max_bytes=services.settings.max_image_bytes,
        max_files=services.settings.max_files,
    )


def _takes_context(manifest: Manifest) -> bool:
    """Whether the model looks at what is known of the patient, too."""
    return any(spec.name == "context" for spec in manifest.inputs)
