"""Health, metrics and the list of hosted models."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import text

from knowledge_base.language import Bilingual
from models.manifest import Metric
from serving.errors import ModelUnavailable, NotFound
from serving.security import allow, services_of
from serving.users import Permission, User

router = APIRouter(tags=["operation"])

Reader = Annotated[User, Depends(allow(Permission.MODELS_READ))]


class Health(BaseModel):
    """`ok` when the answer is 200."""

    status: str = "ok"


class ModelAnswer(BaseModel):
    """A hosted model: what it is, how good it was measured to be, what it learned from."""

    name: str
    version: int
    task: str
    title: Bilingual
    labels: int
    metrics: dict[str, dict[str, Metric]]
    licence_notes: list[str]
    card: str


@router.get("/health/live")
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/health/ready")
async def ready(request: Request) -> Health:
    """Models are warm and the database answers."""
    if not services_of(request).engine.alive:
        raise ModelUnavailable("a model's worker has ended")
    await asyncio.to_thread(_ping, request)
    return Health()


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus metrics. They hold no patient data."""
    return Response(generate_latest(services_of(request).registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models")
async def models(request: Request, _user: Reader) -> list[ModelAnswer]:
    """The hosted models."""
    return [_describe(request, name) for name in services_of(request).models]


@router.get("/v1/models/{name}")
async def model(name: str, request: Request, _user: Reader) -> ModelAnswer:
    """One hosted model with its card."""
    if name not in services_of(request).models:
        raise NotFound("no such model or version")
    return _describe(request, name)


def _describe(request: Request, name: str) -> ModelAnswer:
    entry = services_of(request).models[name]
    manifest = entry.manifest
    return ModelAnswer(
        name=manifest.name,
        version=manifest.version,
        task=manifest.task,
        title={"zh": manifest.title["zh"], "en": manifest.title["en"]},
        labels=len(manifest.labels),
        metrics=manifest.metrics,
        licence_notes=manifest.licence_notes,
        card=entry.card,
    )


def _ping(request: Request) -> None:
    with services_of(request).db.read() as session:
        session.execute(text("SELECT 1"))
