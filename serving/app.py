"""The application: routes, pages and middleware around one set of services."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from starlette.types import Receive, Scope, Send

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
    inference,
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
from serving.clock import Entropy, Ids, SystemClock
from serving.credentials import Credentials
from serving.engine.inference import ModelHost
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


class Application(FastAPI):
    """FastAPI with a short way in: an inference meets the guard and its route, and nothing else."""

    guard: Guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "http" and scope["path"].startswith(inference.MODELS):
            scope["app"] = self
            await self.guard(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    opened: Callable[[Services], None] = lambda _services: None,
    engine: Callable[[], ModelHost] | None = None,
    sessions: Sessions | None = None,
    exposition: Callable[[], bytes] | None = None,
) -> FastAPI:
    """The ASGI application. Its start opens the services and calls `opened`, its end drains them.

    A process of several is given what is not its own: `engine` makes what asks the owner of the
    models, `sessions` are the server's, `exposition` tells the metrics of all.

    The start raises ModelError when a needed model is missing or not licensed for this use, or
    any is altered.
    """
    registry = CollectorRegistry()
    batch_metrics = BatchMetrics(registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await open_services(settings, registry, None if engine is None else engine())
        app.state.services = services
        app.state.credentials = Credentials(services.db)
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

    app = Application(
        title="Fenzhen",
        version=__version__,
        description=AI_LABEL["en"],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.registry = registry
    app.state.exposition = exposition or partial(generate_latest, registry)
    app.state.sessions = sessions or Sessions(secrets.token_bytes(32), settings.session_hours)
    # First, because routes are tried in turn, and by themselves: a router would match each twice.
    protocol = inference.routes()
    app.router.routes.extend(protocol)
    for router in (*API_ROUTERS, *PAGE_ROUTERS):
        app.include_router(router)
    app.mount("/static", static.files(), name="static")
    answer = problems.Problems(registry, pages.failed)
    problems.install(app, answer)
    app.guard = Guard(
        settings=settings,
        registry=registry,
        ids=Ids(SystemClock(), Entropy()),
        failed=answer,
        shortcut=inference.shortcut(protocol),
    )
    app.add_middleware(app.guard.around)
    return app
