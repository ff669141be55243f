"""A progress bar on standard error, so that standard output stays for results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def track(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """The items, counted on a bar that vanishes when they are done."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        yield from bar.track(items, total=total, description=what)


@contextmanager
def status(what: str) -> Iterator[Callable[[str], None]]:
    """A line that vanishes at the end, with what is being done; call it to add the part at hand."""
    with Console(stderr=True).status(what) as line:
        yield lambda part: line.update(f"{what}: {part}")
