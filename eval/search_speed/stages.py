"""Which part of a call the time goes to, told by looking at the running thread's stack.

Nothing in the code that is measured is changed, and nothing has to be named here but the functions
to look through: whatever they call is a stage, by its qualified name.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from types import FrameType, TracebackType


class Stages:
    """While entered, seconds of the entering thread by stage, in `seconds`.

    through: qualified names that are no stage themselves; their callees are. every_s: how often
    to look; a call is counted from one look to the next. notify: told whenever the stage changes.
    """

    def __init__(
        self,
        through: Collection[str],
        every_s: float,
        notify: Callable[[str], None] = lambda _stage: None,
    ) -> None:
        self._through, self._every, self._notify = frozenset(through), every_s, notify
        self._seconds: dict[str, float] = defaultdict(float)
        self._stop = threading.Event()

    @property
    def seconds(self) -> dict[str, float]:
        """By stage, the longest first."""
        return dict(sorted(self._seconds.items(), key=lambda entry: -entry[1]))

    def __enter__(self) -> Stages:
        watched = threading.get_ident()
        # Else who computes without a pause is looked at every 5 ms only, and in its pauses.
        self._switching = sys.getswitchinterval()
        sys.setswitchinterval(self._every / 10)
        self._thread = threading.Thread(target=self._watch, args=(watched,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        sys.setswitchinterval(self._switching)

    def _watch(self, watched: int) -> None:
        before, last = time.perf_counter(), ""
        while not self._stop.wait(self._every):
            stage = self._stage(sys._current_frames().get(watched))
            now = time.perf_counter()
            # By elapsed time and not by looks: who holds the interpreter delays the next look.
            self._seconds[stage] += now - before
            if stage != last:
                self._notify(stage)
            before, last = now, stage

    def _stage(self, frame: FrameType | None) -> str:
        """What the functions to look through have called; their own name where they are at work."""
        names = []
        while frame is not None:
            names.append(frame.f_code.co_qualname.split(".<locals>")[0])
            frame = frame.f_back
        stage = "other"
        for name in reversed(names):
            # From outside inwards: a stage may run a generator of the function that called it.
            if name in self._through:
                stage = name
            elif stage != "other":
                return name
        return stage
