"""What the answers rest on: the hosted models, the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import Response

from models.manifest import Manifest, Metric
from models.repository import ModelEntry
from serving import audit, users
from serving.security import services_of
from serving.storage.database import Database
from serving.users import Permission
from serving.web import access
from serving.web.pages import PageRoute, page

Table: TypeAlias = tuple[str | None, Mapping[str, Mapping[str, Metric]]]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

EVENTS = 100


@router.get("/console/models")
async def models(request: Request) -> Response:
    """The hosted models with what was measured and their cards."""
    member = await access.reader(request, Permission.MODELS_READ)
    listed = await asyncio.to_thread(_models, services_of(request).hosted.models)
    return page(request, "console/models.html", member=member, models=listed)


@router.get("/console/audit")
async def audit_page(request: Request) -> Response:
    """Whether the chain holds, and its newest events."""
    member = await access.reader(request, Permission.AUDIT_READ)
    return page(
        request,
        "console/audit.html",
        member=member,
        **await asyncio.to_thread(_audit, services_of(request).db),
    )


def _models(entries: Mapping[str, ModelEntry]) -> list[tuple[Manifest, str, list[Table]]]:
    """Every model with its card and two tables: whole sets, then stress tests and subgroups."""
    listed: list[tuple[Manifest, str, list[Table]]] = []
    for entry in entries.values():
        metrics = entry.manifest.metrics
        parts = {name: values for name, values in metrics.items() if "/" in name}
        whole = {name: values for name, values in metrics.items() if name not in parts}
        listed.append((entry.manifest, entry.card, [(None, whole), ("models.stress", parts)]))
    return listed


def _audit(db: Database) -> dict[str, Any]:
    return {
        "report": audit.verify(db),
        "events": audit.list_events(db, limit=EVENTS),
        "names": {user.id: user.name for user in users.list_users(db)},
    }
