"""A function called in a child process, under a time and a memory limit.

What comes from elsewhere may be made to loop for ever, to fill the memory or to crash a parser:
that ends the child, and the next call gets a new one. One child serves many calls, for starting
one takes as long as reading many files. It is started afresh (spawn): a fork would take over
whatever threads of its parent hold.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

from knowledge_base.library.document import Unreadable

SECONDS = 120.0
"""What one file may take to be read."""
MEMORY = 2 * 2**30
"""Bytes that reading may take above what the process has once it is ready."""
_START_S = 120.0
_GRACE_S = 10  # after which a child that its parent left behind ends itself
_OUT_OF_MEMORY = 86  # an exit status that nothing else uses

P = ParamSpec("P")
T = TypeVar("T")


class Isolated(Generic[P, T]):
    """Calls a function in a child, which starts with the first call.

    function: one that the child finds by its module and name; arguments and result are pickled.
    seconds: of one call; memory: bytes.
    """

    def __init__(
        self, function: Callable[P, T], *, seconds: float = SECONDS, memory: int = MEMORY
    ) -> None:
        self._function, self._seconds, self._memory = function, seconds, memory
        self._child: tuple[SpawnProcess, Connection] | None = None

    def __enter__(self) -> Isolated[P, T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns.

        Raises Unreadable for whatever the function raises, for a limit that it reaches and for a
        child that dies of it; OSError where no child can be started.
        """
        process, connection = self._running()
        try:
            connection.send((args, kwargs))
            if not connection.poll(self._seconds):
                raise Unreadable(f"reading it took more than {self._seconds:g} seconds")
            problem, result = connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            raise Unreadable(self._death(process.exitcode)) from None
        except BaseException:
            self.close()  # an answer that nobody took would be the next call's
            raise
        if problem is not None:
            raise Unreadable(problem)
        answer: T = result
        return answer

    def close(self) -> None:
        """End the child, whatever it is at."""
        if self._child is not None:
            process, connection = self._child
            self._child = None
            process.kill()
            process.join()
            connection.close()

    def _running(self) -> tuple[SpawnProcess, Connection]:
        if self._child is None or not self._child[0].is_alive():
            self.close()
            self._child = self._started()
        return self._child

    def _started(self) -> tuple[SpawnProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._function, self._seconds, self._memory), daemon=True
        )
        process.start()
        theirs.close()
        # Waited for here, so that a slow start does not count against the first file.
        with suppress(EOFError, ConnectionError):
            if ours.poll(_START_S):
                ours.recv()
                return process, ours
        process.kill()
        ours.close()
        raise OSError("the process that reads files did not start")

    def _death(self, code: int | None) -> str:
        if code == _OUT_OF_MEMORY:
            return f"reading it takes more than {self._memory / 2**20:,.0f} MiB of memory"
        names = {-s: s.name for s in signal.Signals}
        return f"the process that read it died of it ({names.get(code or 0, f'status {code}')})"


def _serve(
    connection: Connection, function: Callable[..., object], seconds: float, memory: int
) -> None:
    """The child: answers calls with (problem, result) until its parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _limit_memory(memory)
    with suppress(EOFError, ConnectionError):
        connection.send("ready")
        while True:
            args, kwargs = connection.recv()
            _end_after(seconds + _GRACE_S)
            try:
                connection.send(_answer(function, args, kwargs))
            except MemoryError:
                os._exit(_OUT_OF_MEMORY)  # what is left of the memory is not known
            _end_after(0)


def _answer(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[str | None, object]:
    try:
        return None, function(*args, **kwargs)
    except (Unreadable, OSError) as error:
        return str(error), None
    except MemoryError:
        raise
    except Exception as error:
        return f"reading it failed ({type(error).__name__})", None


def _end_after(seconds: float) -> None:
    """Have the system end this process, should its parent be gone; 0 takes that back."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds))


def _limit_memory(further: int) -> None:
    """Only where the system says what is used and keeps to a limit: Linux."""
    used = Path("/proc/self/statm")
    if used.is_file():
        import resource

        most = int(used.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + further
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
