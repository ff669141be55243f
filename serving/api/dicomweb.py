"""/dicom-web: STOW-RS, QIDO-RS and WADO-RS (DICOM PS3.18) for what is held, de-identified.

Storing needs no more than `dicom:store`; every search and every retrieval is audited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from serving import audit
from serving.dicomweb import retrieve, search
from serving.dicomweb.accept import choose
from serving.dicomweb.elements import DICOM_JSON
from serving.dicomweb.multipart import DICOM, Limits, encode, spool
from serving.dicomweb.query import read_query
from serving.dicomweb.retrieve import OCTETS, PICTURES, SYNTAX
from serving.dicomweb.search import Found, Within
from serving.dicomweb.store import is_uid, response, status_of, store
from serving.errors import InvalidInput, NotFound, PayloadTooLarge, UnsupportedMedia
from serving.security import allow, services_of
from serving.storage.canonical import dumps
from serving.storage.instances import StoredInstance
from serving.uploads import limits_of
from serving.users import Permission, User

router = APIRouter(prefix="/dicom-web", tags=["dicomweb"])

Sender = Annotated[User, Depends(allow(Permission.DICOM_STORE))]
Reader = Annotated[User, Depends(allow(Permission.DECISION_READ))]

_JSON = (DICOM_JSON, "application/json")
_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_PRIVATE = {"Cache-Control": "private, no-store"}


@router.post("/studies")
async def store_instances(request: Request, user: Sender) -> Response:
    """STOW-RS: keep and read DICOM instances (multipart/related; type="application/dicom")."""
    return await _store(request, user, None)


@router.post(_STUDY)
async def store_instances_of_study(study: str, request: Request, user: Sender) -> Response:
    """STOW-RS into one study: instances of any other are refused."""
    return await _store(request, user, _uid(study))


@router.get("/studies")
async def search_studies(request: Request, user: Reader) -> Response:
    """QIDO-RS: studies, by attributes."""
    return await _search(request, user, "studies", Within())


@router.get("/series")
async def search_all_series(request: Request, user: Reader) -> Response:
    """QIDO-RS: series of all studies, by attributes."""
    return await _search(request, user, "series", Within())


@router.get("/instances")
async def search_all_instances(request: Request, user: Reader) -> Response:
    """QIDO-RS: instances of all studies, by attributes."""
    return await _search(request, user, "instances", Within())


@router.get(_STUDY + "/series")
async def search_series(study: str, request: Request, user: Reader) -> Response:
    """QIDO-RS: a study's series."""
    return await _search(request, user, "series", Within(_uid(study)))


@router.get(_STUDY + "/instances")
async def search_instances_of_study(study: str, request: Request, user: Reader) -> Response:
    """QIDO-RS: a study's instances."""
    return await _search(request, user, "instances", Within(_uid(study)))


@router.get(_SERIES + "/instances")
async def search_instances(study: str, series: str, request: Request, user: Reader) -> Response:
    """QIDO-RS: a series' instances."""
    return await _search(request, user, "instances", Within(_uid(study), _uid(series)))


@router.get(_STUDY)
async def retrieve_study(study: str, request: Request, user: Reader) -> Response:
    """WADO-RS: all instances of a study, de-identified."""
    return await _retrieve(request, user, Within(_uid(study)))


@router.get(_SERIES)
async def retrieve_series(study: str, series: str, request: Request, user: Reader) -> Response:
    """WADO-RS: all instances of a series, de-identified."""
    return await _retrieve(request, user, Within(_uid(study), _uid(series)))


@router.get(_INSTANCE)
async def retrieve_instance(
    study: str, series: str, instance: str, request: Request, user: Reader
) -> Response:
    """WADO-RS: one instance, de-identified."""
    return await _retrieve(request, user, Within(_uid(study), _uid(series), _uid(instance)))


@router.get(_STUDY + "/metadata")
async def study_metadata(study: str, request: Request, user: Reader) -> Response:
    """WADO-RS: the headers of a study's instances as DICOM JSON."""
    return await _metadata(request, user, Within(_uid(study)))


@router.get(_SERIES + "/metadata")
async def series_metadata(study: str, series: str, request: Request, user: Reader) -> Response:
    """WADO-RS: the headers of a series' instances as DICOM JSON."""
    return await _metadata(request, user, Within(_uid(study), _uid(series)))


@router.get(_INSTANCE + "/metadata")
async def instance_metadata(
    study: str, series: str, instance: str, request: Request, user: Reader
) -> Response:
    """WADO-RS: an instance's header as DICOM JSON."""
    return await _metadata(request, user, Within(_uid(study), _uid(series), _uid(instance)))


@router.get(_INSTANCE + "/frames/{frames}")
async def retrieve_frames(
    study: str, series: str, instance: str, frames: str, request: Request, user: Reader
) -> Response:
    """WADO-RS: the uncompressed cells of frames, counted from 1, with commas between."""
    retrieve.part_form(_accept(request), OCTETS)
    numbers = retrieve.frame_numbers(frames)
    within = Within(_uid(study), _uid(series), _uid(instance))
    (one,) = await asyncio.to_thread(_held, request, user, within, "frames")

    def read() -> list[bytes]:
        data = services_of(request).blobs.get(one.blob)
        return retrieve.frame_bytes(data, one.header, numbers)

    cells = await asyncio.to_thread(read)
    return _multipart(request, OCTETS, iter(cells))


@router.get(_INSTANCE + "/rendered")
async def render_instance(
    study: str, series: str, instance: str, request: Request, user: Reader
) -> Response:
    """WADO-RS: an instance's first frame as a JPEG or PNG for people's eyes."""
    within = Within(_uid(study), _uid(series), _uid(instance))
    return await _render(request, user, within, 1)


@router.get(_INSTANCE + "/frames/{frame}/rendered")
async def render_frame(
    study: str, series: str, instance: str, frame: str, request: Request, user: Reader
) -> Response:
    """WADO-RS: one frame as a JPEG or PNG for people's eyes."""
    (number, *others) = retrieve.frame_numbers(frame)
    if others:
        raise InvalidInput("one frame at a time is rendered")
    within = Within(_uid(study), _uid(series), _uid(instance))
    return await _render(request, user, within, number)


async def _store(request: Request, user: User, study: str | None) -> Response:
    services = services_of(request)
    choose(_accept(request), _JSON)
    settings = services.settings
    limits = Limits(settings.max_stow_instances, settings.max_image_bytes)
    content_type = request.headers.get("content-type", "")
    folder = settings.var / "incoming"
    outcomes = []
    try:
        async with spool(request.stream(), content_type, limits, folder) as spooled:
            parts = spooled.parts()
            # One after another: one instance in memory, and others' requests in between.
            while (data := await asyncio.to_thread(next, parts, None)) is not None:
                outcomes.append(await store(services, data, user, study))
    except (InvalidInput, PayloadTooLarge, UnsupportedMedia) as refused:
        stated = request.headers.get("content-length", "")
        size = int(stated) if stated.isdecimal() else 0
        await asyncio.to_thread(services.refusals.note, user.id, refused.code, size)
        raise
    answer = response(outcomes, _base(request))
    return Response(dumps(answer), status_of(outcomes), media_type=DICOM_JSON)


async def _search(request: Request, user: User, level: str, within: Within) -> Response:
    media_type = choose(_accept(request), _JSON)
    query = read_query(request.query_params.multi_items())
    services, base = services_of(request), _base(request)

    def run() -> Found:
        if level == "studies":
            found = search.search_studies(services, query, base)
        elif level == "series":
            found = search.search_series(services, query, within, base)
        else:
            found = search.search_instances(services, query, within, base)
        _note(request, user, "dicom.searched", level, {"found": len(found.items)})
        return found

    found = await asyncio.to_thread(run)
    if not found.items:
        return Response(status_code=204)
    headers = dict(_PRIVATE)
    if found.more:
        headers["Warning"] = (
            f'299 {request.url.netloc} "There are additional results that can be requested"'
        )
    return Response(dumps(found.items), media_type=media_type, headers=headers)


async def _retrieve(request: Request, user: User, within: Within) -> Response:
    form = retrieve.part_form(_accept(request), DICOM)
    found = await asyncio.to_thread(_held, request, user, within, "instances")
    blobs = services_of(request).blobs
    if form == "single":
        if len(found) != 1:
            raise InvalidInput("several instances come as multipart/related only")
        data = await asyncio.to_thread(blobs.get, found[0].blob)
        return Response(data, media_type=_typed(DICOM), headers=_PRIVATE)
    return _multipart(request, DICOM, (blobs.get(one.blob) for one in found))


async def _metadata(request: Request, user: User, within: Within) -> Response:
    media_type = choose(_accept(request), _JSON)
    found = await asyncio.to_thread(_held, request, user, within, "metadata")
    blobs, base = services_of(request).blobs, _base(request)

    def read() -> str:
        return dumps([retrieve.metadata(blobs.get(one.blob), one.header, base) for one in found])

    content = await asyncio.to_thread(read)
    return Response(content, media_type=media_type, headers=_PRIVATE)


async def _render(request: Request, user: User, within: Within, number: int) -> Response:
    media_type = choose(_accept(request), PICTURES)
    how = retrieve.read_rendering(media_type, request.query_params.multi_items())
    services = services_of(request)
    limits = limits_of(services)
    (one,) = await asyncio.to_thread(_held, request, user, within, "rendered")
    if not 1 <= number <= one.header.frames:
        raise NotFound("no such frame")

    def draw() -> bytes:
        return retrieve.render(services.blobs.get(one.blob), number, limits, how)

    header = one.header
    async with services.pixels.hold(header.rows * header.columns * header.frames):
        picture = await asyncio.to_thread(draw)
    return Response(picture, media_type=how.media_type, headers=_PRIVATE)


def _held(request: Request, user: User, within: Within, form: str) -> list[StoredInstance]:
    """What is held of a study, series or instance; the view is audited. Raises NotFound."""
    found = search.held(services_of(request), within)
    if not found:
        raise NotFound("no such instances")
    header = found[0].header
    subject = header.study_uid if within.series is None else header.series_uid
    if within.instance is not None:
        subject = header.sop_uid
    _note(request, user, "dicom.retrieved", subject, {"instances": len(found), "form": form})
    return found


def _note(
    request: Request, user: User, action: str, subject: str, detail: dict[str, int | str]
) -> None:
    db = services_of(request).db
    with db.write() as session:
        audit.append(
            session,
            at=db.clock.now(),
            actor=user.id,
            action=action,
            subject=subject,
            detail=dict(detail),
        )


def _multipart(request: Request, part_type: str, parts: Iterator[bytes]) -> Response:
    """The parts as multipart/related, read one after another while they are sent."""
    boundary = services_of(request).db.ids.secret()
    typed = _typed(part_type)
    return StreamingResponse(
        encode(((typed, part) for part in parts), boundary),
        media_type=f'multipart/related; type="{part_type}"; boundary={boundary}',
        headers=_PRIVATE,
    )


def _typed(media_type: str) -> str:
    return f"{media_type}; transfer-syntax={SYNTAX}"


def _accept(request: Request) -> str:
    return ", ".join(request.headers.getlist("accept"))


def _base(request: Request) -> str:
    known = services_of(request).settings.public_url or str(request.base_url)
    return known.rstrip("/") + "/dicom-web"


def _uid(text: str) -> str:
    if not is_uid(text):
        raise NotFound("that is no UID")
    return text
