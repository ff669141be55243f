"""Uploads that were refused, in the audit trail: by whom, for which reason, of what size.

Never a file's name, its words or its bytes. A flood of bad files does not flood the chain: each
sender gets `_MOST` events in `_WINDOW`; what comes beyond is counted, and one event with the counts
follows when the window is over and anything else is refused, or the server stops. The metric
`fenzhen_uploads_refused` counts all of them at once.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from serving import audit
from serving.audit import AuditValue
from serving.errors import FenzhenError
from serving.ingest_metrics import IngestMetrics
from serving.storage.database import Database

log = structlog.get_logger()

REFUSED = "upload.refused"
_MOST = 10
_WINDOW = timedelta(minutes=1)


@dataclass
class _Window:
    """What a sender had refused since `since`: how many were written, and what was not."""

    since: datetime
    written: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    size: int = 0


@dataclass(frozen=True)
class _Event:
    actor: str
    subject: str
    detail: dict[str, AuditValue]


class Refusals:
    """Of one server. Used by many threads."""

    def __init__(self, db: Database, metrics: IngestMetrics) -> None:
        self._db = db
        self._metrics = metrics
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def note(self, actor: str, reason: str, size: int, *, subject: str = "upload") -> None:
        """Write down one refusal. reason: a code. size: bytes. Blocking; never raises."""
        self._metrics.refused.labels(reason).inc()
        now = self._db.clock.now()
        with self._lock:
            events = self._over(now)
            window = self._windows.setdefault(actor, _Window(now))
            if window.written < _MOST:
                window.written += 1
                events.append(_Event(actor, subject, {"reason": reason, "size": size}))
            else:
                window.reasons[reason] += 1
                window.size += size
        self._write(events, now)

    def flush(self) -> None:
        """Write what was counted and not written. Blocking; never raises."""
        with self._lock:
            events = self._over(None)
        self._write(events, self._db.clock.now())

    def _over(self, now: datetime | None) -> list[_Event]:
        """Close the windows that are over by `now`, all of them without it: what remains to say."""
        done = [
            actor
            for actor, window in self._windows.items()
            if now is None or now - window.since >= _WINDOW
        ]
        events = []
        for actor in done:
            window = self._windows.pop(actor)
            if window.reasons:
                counts = [f"{reason}:{count}" for reason, count in sorted(window.reasons.items())]
                more = window.reasons.total()
                detail: dict[str, AuditValue] = {
                    "more": more, "reasons": counts, "size": window.size,
                }  # fmt: skip
                events.append(_Event(actor, "upload", detail))
        return events

    def _write(self, events: list[_Event], at: datetime) -> None:
        if not events:
            return
        try:
            with self._db.write() as session:
                for event in events:
                    audit.append(
                        session,
                        at=at,
                        actor=event.actor,
                        action=REFUSED,
                        subject=event.subject,
                        detail=event.detail,
                    )
        except FenzhenError as error:
            # The sender's own answer matters more than a database that is away.
            log.error("refusals not audited", code=error.code, events=len(events))
