"""The application: routes, pages and middleware around one set of services."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from models.triage.result import AI_LABEL
from serving import __version__
from serving.api import consults, decisions, health, imaging, knowledge, problems, reviews, triage
from serving.middleware import Guard
from serving.security import Sessions
from serving.services import Services
from serving.web import chat, console, static

_ROUTERS = (
    triage.router,
    consults.router,
    imaging.router,
    knowledge.router,
    reviews.router,
    decisions.router,
    health.router,
    chat.router,
    console.router,
)


def create_app(services: Services, *, session_key: bytes | None = None) -> FastAPI:
    """The ASGI application over open services; closing it drains the engine."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await services.close()

    app = FastAPI(
        title="Fenzhen",
        version=__version__,
        description=AI_LABEL["en"],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.sessions = Sessions(
        session_key or secrets.token_bytes(32), services.settings.session_hours
    )
    for router in _ROUTERS:
        app.include_router(router)
    app.mount("/static", static.files(), name="static")
    problems.install(app, services.registry)
    app.add_middleware(
        Guard,
        settings=services.settings,
        registry=services.registry,
        ids=services.db.ids,
    )
    return app
