"""Which task reads an instance that nobody asked about: by its header alone, from a table.

Cautious: what no row knows is read by no model.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

ROUTING_FILE = Path(__file__).with_name("routing.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Route(_Strict):
    """One row of the table; an empty list asks for nothing."""

    task: str
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    sop_classes: frozenset[str] = frozenset()
    unstated: bool = False

    @model_validator(mode="after")
    def _asks_for_something(self) -> Route:
        if not (self.modalities or self.sop_classes):
            raise ValueError("a route names modalities or SOP classes")
        return self

    def fits(self, modality: str | None, body_part: str | None, sop_class_uid: str) -> bool:
        """Whether a header is one that this row is for."""
        if self.modalities and modality not in self.modalities:
            return False
        if self.sop_classes and sop_class_uid not in self.sop_classes:
            return False
        if body_part is None:
            return self.unstated or not self.body_parts
        return not self.body_parts or body_part in self.body_parts


class Routing(_Strict):
    """The table, validated."""

    version: str
    routes: tuple[Route, ...]
    never: frozenset[str]
    stacks: frozenset[str]


@cache
def routing() -> Routing:
    """The shipped table."""
    return Routing.model_validate(yaml.safe_load(ROUTING_FILE.read_text(encoding="utf-8")))


def route_task(
    modality: str | None, body_part: str | None, sop_class_uid: str, hosted: Collection[str]
) -> str | None:
    """The task for an instance, or None: no row fits, or its task is not among those `hosted`."""
    table = routing()
    if sop_class_uid in table.never:
        return None
    for route in table.routes:
        if route.fits(modality, body_part, sop_class_uid):
            return route.task if route.task in hosted else None
    return None


def is_stack(modality: str | None) -> bool:
    """Whether a series of this modality is one examination in many pictures."""
    return modality in routing().stacks
