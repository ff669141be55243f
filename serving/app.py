"""The application: routes, pages and middleware around one set of services."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from models.triage.result import AI_LABEL
from serving import __version__
from serving.api import (
    acuity,
    batches,
    consults,
    decisions,
    dicomweb,
    health,
    imaging,
    knowledge,
    knowledge_answers,
    knowledge_documents,
    knowledge_feedback,
    knowledge_proposals,
    matches,
    problems,
    reviews,
    triage,
)
from serving.batches.metrics import BatchMetrics
from serving.batches.runner import BatchRunner
from serving.clock import Ids, SystemClock
from serving.middleware import Guard
from serving.security import Sessions
from serving.services import Services, open_services
from serving.settings import Settings
from serving.web import chat, console, pages, static

API_ROUTERS = (
    triage.router,
    acuity.router,
    consults.router,
    matches.router,
    imaging.router,
    dicomweb.router,
    batches.router,
    knowledge.router,
    knowledge_answers.router,
    knowledge_documents.router,
    knowledge_feedback.router,
    knowledge_proposals.router,
    reviews.router,
    decisions.router,
    health.router,
)
PAGE_ROUTERS = (chat.router, console.router)


def create_app(
    settings: Settings, *, opened: Callable[[Services], None] = lambda _services: None
) -> FastAPI:
    """The ASGI application. Its start opens the services and calls `opened`, its end drains them.

    The start raises ModelError when a needed model is missing or not licensed for this use, or
    any is altered.
    """
    registry = CollectorRegistry()
    batch_metrics = BatchMetrics(registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await open_services(settings, registry)
        app.state.services = services
        runner = BatchRunner(services, batch_metrics)
        app.state.batches = runner
        keeping_up = asyncio.create_task(services.knowledge.keep_up())
        try:
            opened(services)
            await runner.start()
            yield
        finally:
            keeping_up.cancel()
            await runner.stop()
            await services.close()

    app = FastAPI(
        title="Fenzhen",
        version=__version__,
        description=AI_LABEL["en"],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.registry = registry
    app.state.sessions = Sessions(secrets.token_bytes(32), settings.session_hours)
    for router in (*API_ROUTERS, *PAGE_ROUTERS):
        app.include_router(router)
    app.mount("/static", static.files(), name="static")
    answer = problems.Problems(registry, pages.failed)
    problems.install(app, answer)
    app.add_middleware(
        Guard, settings=settings, registry=registry, ids=Ids(SystemClock()), failed=answer
    )
    return app
