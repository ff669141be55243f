"""Writes docs/reference.md from the code: settings, routes, errors, permissions, metrics, commands.

    python -m serving.reference > docs/reference.md

A test fails when the file and the code differ, so nothing stays undocumented.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from serving.api import inference
from serving.app import API_ROUTERS, create_app
from serving.cli import app as cli
from serving.engine.ray_engine import RayMetrics
from serving.errors import ERROR_KINDS
from serving.ingest_metrics import IngestMetrics
from serving.settings import Settings
from serving.users import PERMISSIONS, Permission

_HEAD = """# Reference

Written from the code by `python -m serving.reference`; a test keeps them the same.
The machine-readable description of the API is at `/openapi.json`.
"""


def render() -> str:
    """The whole page in Markdown."""
    app = create_app(Settings(_env_file=None))
    parts = [_HEAD, *_settings(), *_routes(), *_permissions(), *_errors(), *_metrics(app)]
    return "\n".join([*parts, *_commands()]) + "\n"


def _settings() -> Iterator[str]:
    yield "## Settings\n\nEnvironment variables, or lines of a `.env` file.\n"
    yield "| variable | default | what it is |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "the shipped models" if name == "models" else field.default
        yield f"| `FENZHEN_{name.upper()}` | `{default}` | {field.description} |"


def _routes() -> Iterator[str]:
    yield "\n## Routes\n\n| route | needs | what it does |\n|---|---|---|"
    for plain in inference.routes():
        permission = getattr(plain.endpoint, "permission", None)
        needed = "nothing" if permission is None else permission.value
        methods = " ".join(sorted(set(plain.methods or ()) - {"HEAD"}))
        what = (plain.endpoint.__doc__ or "").split("\n", 1)[0]
        yield f"| `{methods} {plain.path}` | {needed} | {what} |"
    for route in (route for router in API_ROUTERS for route in router.routes):
        if isinstance(route, APIRoute):
            needs = [
                getattr(dependency.call, "permission").value  # noqa: B009
                for dependency in route.dependant.dependencies
                if hasattr(dependency.call, "permission")
            ]
            what = (route.description or "").split("\n", 1)[0]
            methods = " ".join(sorted(route.methods or ()))
            yield f"| `{methods} {route.path}` | {', '.join(needs) or 'nothing'} | {what} |"


def _permissions() -> Iterator[str]:
    yield "\n## Roles\n\nWhat is not in this table is denied.\n"
    roles = list(PERMISSIONS)
    yield "| permission | " + " | ".join(role.value for role in roles) + " |"
    yield "|---|" + "---|" * len(roles)
    for permission in Permission:
        cells = ("yes" if permission in PERMISSIONS[role] else "" for role in roles)
        yield f"| `{permission.value}` | " + " | ".join(cells) + " |"


def _errors() -> Iterator[str]:
    yield "\n## Errors\n"
    yield "Every error is `application/problem+json` (RFC 9457) with one of these codes."
    yield '`/v2` says `{"error": "…"}` instead, with the same status but 400 for 422.'
    yield "Titles follow `Accept-Language`.\n"
    yield "| code | status | title | 标题 |\n|---|---|---|---|"
    for kind in ERROR_KINDS.values():
        yield f"| `{kind.code}` | {kind.status} | {kind.title_en} | {kind.title_zh} |"


def _metrics(app: FastAPI) -> Iterator[str]:
    yield "\n## Metrics\n\n`GET /metrics` in Prometheus' format. They hold no patient data.\n"
    yield "| metric | what it counts |\n|---|---|"
    app.build_middleware_stack()
    registry: CollectorRegistry = app.state.registry
    RayMetrics(registry)
    IngestMetrics(registry)
    for metric in registry.collect():
        yield f"| `{metric.name}` | {metric.documentation} |"


def _commands() -> Iterator[str]:
    yield "\n## Commands\n\n| command | what it does |\n|---|---|"
    for path, what in _walk("fenzhen", cli):
        yield f"| `{path}` | {what} |"


def _walk(path: str, group: typer.Typer) -> Iterator[tuple[str, str]]:
    for command in group.registered_commands:
        if command.callback is not None:
            name = command.name or command.callback.__name__.split("_")[-1]
            yield f"{path} {name}", (command.callback.__doc__ or "").strip().split("\n", 1)[0]
    for child in group.registered_groups:
        if child.typer_instance is not None:
            yield from _walk(f"{path} {child.name}", child.typer_instance)


if __name__ == "__main__":
    sys.stdout.write(render())
