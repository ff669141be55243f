"""A bar for work whose length is known beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from eval.progress import track

T = TypeVar("T")


async def with_bar(work: Coroutine[Any, Any, T], seconds: float, what: str) -> T:
    """Do the work; meanwhile a bar counts the seconds."""
    bar = asyncio.create_task(_count(round(seconds), what))
    try:
        return await work
    finally:
        bar.cancel()


async def _count(seconds: int, what: str) -> None:
    for _ in track(range(seconds), seconds, what):
        await asyncio.sleep(1)
