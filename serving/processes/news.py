"""News among HTTP processes of models that one of them was told to put in service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

Reload = Callable[[str], Awaitable[object]]


class News:
    """What was heard from other processes, and is done here as well. Used within one event loop.

    Before `follow`, at the start, everything is what every process does; it is no news.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._reload: Reload | None = None
        self._following: asyncio.Task[None] | None = None

    def follow(self, reload: Reload) -> None:
        """From now on, call `reload` with the name of a model that another has put in service."""
        self._reload = reload
        self._go_on()

    def is_told(self) -> bool:
        """Whether a model that is put in service now is news: not where this only follows."""
        return self._reload is not None and self._following is None

    def heard(self, identity: str) -> None:
        """Another process has put a model in service."""
        self._names.append(identity.partition("@")[0])
        self._go_on()

    def end(self) -> None:
        """Follow no more."""
        if self._following is not None:
            self._following.cancel()

    def _go_on(self) -> None:
        if self._names and self._following is None and self._reload is not None:
            self._following = asyncio.ensure_future(self._work_off(self._reload))

    async def _work_off(self, reload: Reload) -> None:
        while self._names:
            name = self._names.pop()
            try:
                await reload(name)
            except Exception as error:
                log.error("model not reloaded", model=name, why=str(error))
        self._following = None
