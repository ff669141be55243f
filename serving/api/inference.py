"""/v2: the Open Inference Protocol (KServe), with the extensions of Triton that its clients use.

Plain Starlette routes; `infer.py` has the one that must be fast.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope

from serving import audit
from serving.api.health import must_be_ready
from serving.api.infer import Infer
from serving.credentials import Credentials
from serving.errors import Conflict, InvalidInput, ModelUnavailable
from serving.inference_protocol import description
from serving.inference_protocol.request import read_object
from serving.inference_protocol.signature import signature
from serving.inference_protocol.statistics import statistics
from serving.security import services_of
from serving.services import Services
from serving.storage.canonical import Json
from serving.users import Permission, User

Endpoint = Callable[[Request, User], Awaitable[Response]]

_MODEL = "/v2/models/{model}"
MODELS, _INFER = "/v2/models/", "/infer"
_PARTS = len(["", "v2", "models", "{model}", "infer"])
_VERSION = _MODEL + "/versions/{version}"


class ProtocolRoute(Route):
    """A route that metrics and log can name, as FastAPI's own."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route.matches`."""
        match, found = super().matches(scope)
        if match is not Match.NONE:
            found["route"] = self
        return match, found


def needs(permission: Permission) -> Callable[[Endpoint], Callable[[Request], Awaitable[Response]]]:
    """An endpoint for callers with that permission."""

    def wrap(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(endpoint)
        async def checked(request: Request) -> Response:
            credentials: Credentials = request.app.state.credentials
            user = await credentials.admit(request.scope, dict(request.headers.raw), permission)
            return await endpoint(request, user)

        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return wrap


def _json(body: Json) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


async def live(_request: Request) -> Response:
    """The process answers."""
    return _json({"live": True})


async def ready(request: Request) -> Response:
    """Models are warm and the database answers."""
    await must_be_ready(services_of(request))
    return _json({"ready": True})


@needs(Permission.MODELS_READ)
async def server_metadata(_request: Request, _user: User) -> Response:
    """Name and version of the server, and the extensions that it knows."""
    return _json(description.server())


@needs(Permission.MODELS_READ)
async def model_metadata(request: Request, _user: User) -> Response:
    """A model's hosted versions, its inputs and its outputs."""
    hosted = services_of(request).hosted
    entry = description.hosted_entry(hosted, *_model_and_version(request))
    return _json(description.model(hosted, signature(entry)))


@needs(Permission.MODELS_READ)
async def model_ready(request: Request, _user: User) -> Response:
    """Whether a model can be asked."""
    services = services_of(request)
    entry = description.hosted_entry(services.hosted, *_model_and_version(request))
    if not services.engine.alive:
        raise ModelUnavailable("a model's worker has ended")
    return _json({"name": entry.manifest.name, "ready": True})


@needs(Permission.MODELS_READ)
async def model_config(request: Request, _user: User) -> Response:
    """A model's configuration in Triton's words: its tensors and the largest batch."""
    services = services_of(request)
    entry = description.hosted_entry(services.hosted, *_model_and_version(request))
    return _json(description.configuration(signature(entry), services.settings.max_batch))


@needs(Permission.MODELS_READ)
async def model_stats(request: Request, _user: User) -> Response:
    """What a model was asked since the start, and how long it took."""
    return await _stats(request, *_model_and_version(request))


@needs(Permission.MODELS_READ)
async def all_stats(request: Request, _user: User) -> Response:
    """What every hosted model was asked since the start, and how long it took."""
    return await _stats(request, None, None)


@needs(Permission.MODELS_READ)
async def repository_index(request: Request, _user: User) -> Response:
    """Every version that is hosted, and those that are kept out and why."""
    asked = read_object(await request.body() or b"{}")
    ready_only = asked.get("ready", False)
    if not isinstance(ready_only, bool):
        raise InvalidInput("ready must be true or false")
    services = services_of(request)
    repository = services.settings.repository
    return _json(description.index(services.hosted, repository, ready=ready_only))


@needs(Permission.MODELS_RELOAD)
async def load(request: Request, user: User) -> Response:
    """Put what lies in the repository for a model now into service. Audited."""
    asked = read_object(await request.body() or b"{}")
    if asked.get("parameters"):
        raise InvalidInput("a model is loaded as it lies in the repository: no parameters")
    services = services_of(request)
    name = request.path_params["model"]
    new = await services.hosting.reload(name)
    await asyncio.to_thread(_record, services, user, name, new)
    return _json({"new": list(new)})


@needs(Permission.MODELS_RELOAD)
async def unload(_request: Request, _user: User) -> Response:
    """Refused: patients' answers need the models."""
    raise Conflict(
        "no model is unloaded while the server runs: put another version in the repository"
    )


def _record(services: Services, user: User, name: str, new: tuple[str, ...]) -> None:
    with services.db.write() as session:
        audit.append(
            session,
            at=services.db.clock.now(),
            actor=user.id,
            action="model.reloaded",
            subject=name,
            detail={"new": list(new)},
        )


async def _stats(request: Request, name: str | None, version: str | None) -> Response:
    entries = description.hosted_versions(services_of(request).hosted, name, version)
    # What /metrics shows: of all processes, where there are several.
    exposed: bytes = await asyncio.to_thread(request.app.state.exposition)
    return _json(statistics(entries, exposed.decode()))


def _model_and_version(request: Request) -> tuple[str, str | None]:
    return request.path_params["model"], request.path_params.get("version")


def routes() -> list[Route]:
    """The routes of one application: the first that fits answers, so the fast ones stand first."""
    infer = Infer()
    return [
        ProtocolRoute(_MODEL + _INFER, infer, methods=["POST"]),
        ProtocolRoute(_VERSION + _INFER, infer, methods=["POST"]),
        ProtocolRoute("/v2/health/live", live),
        ProtocolRoute("/v2/health/ready", ready),
        ProtocolRoute("/v2", server_metadata),
        ProtocolRoute("/v2/models/stats", all_stats),
        ProtocolRoute("/v2/repository/index", repository_index, methods=["POST"]),
        ProtocolRoute("/v2/repository/models/{model}/load", load, methods=["POST"]),
        ProtocolRoute("/v2/repository/models/{model}/unload", unload, methods=["POST"]),
        *(
            ProtocolRoute(base + ending, endpoint)
            for base in (_MODEL, _VERSION)
            for ending, endpoint in (
                ("", model_metadata),
                ("/ready", model_ready),
                ("/config", model_config),
                ("/stats", model_stats),
            )
        ),
    ]


def shortcut(routes: Sequence[Route]) -> Callable[[Scope], ASGIApp | None]:
    """What finds the route of an inference without asking any router; None for all other requests.

    It looks at the path alone, and says in the scope what a router would.
    """
    plain, versioned = (
        next(route for route in routes if route.path == base + _INFER)
        for base in (_MODEL, _VERSION)
    )

    def find(scope: Scope) -> ASGIApp | None:
        path: str = scope["path"]
        if not path.endswith(_INFER) or scope["method"] != "POST":
            return None
        parts = path.split("/")
        if len(parts) == _PARTS and path.startswith(MODELS):
            scope["path_params"], route = {"model": parts[3]}, plain
        elif len(parts) == _PARTS + 2 and path.startswith(MODELS) and parts[4] == "versions":
            scope["path_params"], route = {"model": parts[3], "version": parts[5]}, versioned
        else:
            return None
        scope["route"] = route
        return route.app

    return find
