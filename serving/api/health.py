"""Health, metrics and the list of hosted models."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from sqlalchemy import text

from knowledge_base.language import Bilingual
from models.manifest import Metric
from models.repository import ModelEntry
from serving.errors import ModelUnavailable, NotFound
from serving.security import allow, services_of
from serving.services import Services
from serving.users import Permission, User

router = APIRouter(tags=["operation"])

Reader = Annotated[User, Depends(allow(Permission.MODELS_READ))]


class Health(BaseModel):
    """`ok` when the answer is 200."""

    status: str = "ok"


class ModelAnswer(BaseModel):
    """A model: what it is, how good it was measured to be, what it learned from.

    `not_loaded` says why a model of the repository is not hosted; null where it is.
    """

    name: str
    version: int
    task: str
    title: Bilingual
    labels: int
    metrics: dict[str, dict[str, Metric]]
    licence_notes: list[str]
    not_loaded: str | None
    card: str


@router.get("/health/live")
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/health/ready")
async def ready(request: Request) -> Health:
    """Models are warm and the database answers."""
    await must_be_ready(services_of(request))
    return Health()


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus metrics. They hold no patient data."""
    text = await asyncio.to_thread(request.app.state.exposition)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models")
async def models(request: Request, _user: Reader) -> list[ModelAnswer]:
    """The hosted models.

    Those that their licence keeps out are listed too, and say so.
    """
    services = services_of(request)
    return [_describe(services, entry) for entry in _all(services).values()]


@router.get("/v1/models/{name}")
async def model(name: str, request: Request, _user: Reader) -> ModelAnswer:
    """One hosted model with its card."""
    services = services_of(request)
    entry = _all(services).get(name)
    if entry is None:
        raise NotFound("no such model or version")
    return _describe(services, entry)


def _all(services: Services) -> dict[str, ModelEntry]:
    return {**services.hosted.models, **services.hosted.refused}


def _describe(services: Services, entry: ModelEntry) -> ModelAnswer:
    manifest = entry.manifest
    return ModelAnswer(
        name=manifest.name,
        version=manifest.version,
        task=manifest.task,
        title={"zh": manifest.title["zh"], "en": manifest.title["en"]},
        labels=len(manifest.labels),
        metrics=manifest.metrics,
        licence_notes=manifest.licence_notes,
        not_loaded=services.settings.repository.refusal(manifest),
        card=entry.card,
    )


async def must_be_ready(services: Services) -> None:
    """Raise ModelUnavailable or StorageUnavailable unless requests can be answered."""
    if not services.engine.alive:
        raise ModelUnavailable("a model's worker has ended")
    await asyncio.to_thread(_ping, services)


def _ping(services: Services) -> None:
    with services.db.read() as session:
        session.execute(text("SELECT 1"))
