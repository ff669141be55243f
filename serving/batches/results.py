"""Results of a batch as JSON Lines, in the order of its rows.

While a batch runs, its results reach up to the first row that has no answer yet: who asks again
for what comes after the last row he has gets each row once and misses none.
"""

from __future__ import annotations

from collections.abc import Iterator

from serving.storage import batch_items
from serving.storage.batch_items import Finished
from serving.storage.canonical import Json, dumps
from serving.storage.codes import ItemOutcome
from serving.storage.database import Database

_PAGE = 50


def reach(db: Database, batch_id: str) -> int:
    """The number of the last row before which none is missing; 0 when the first is."""
    done = batch_items.recorded(db, batch_id)
    last = 0
    while last + 1 in done:
        last += 1
    return last


def lines(db: Database, batch_id: str, *, after: int, up_to: int) -> Iterator[bytes]:
    """One line per recorded row, `after` < number <= `up_to`, a page in memory. Blocking.

    Ends early when the batch is removed meanwhile.
    """
    while page := batch_items.finished_rows(db, batch_id, after=after, up_to=up_to, limit=_PAGE):
        for finished in page:
            yield dumps(line(finished)).encode() + b"\n"
        after = page[-1].number


def line(finished: Finished) -> dict[str, Json]:
    """A row's line: what the single request answers, or its problem."""
    said: dict[str, Json] = {"row": finished.number}
    if finished.file is not None:
        said["file"] = finished.file
    answer = finished.answer
    if answer is None:
        return {**said, "outcome": ItemOutcome.FAILED, "problem": finished.problem}
    said |= {
        "outcome": ItemOutcome.DONE,
        "decision_id": answer.decision_id,
        "review_task_id": answer.review_task_id,
        "status": answer.status,
    }
    if "images" in answer.result:
        rest = {key: value for key, value in answer.result.items() if key != "images"}
        return {**said, "results": answer.result["images"], **rest}
    return {**said, "result": answer.result}
