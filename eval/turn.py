"""Processor time of one turn of triage on one core, without server, network or disk.

    OMP_NUM_THREADS=1 python -m eval.turn

Our own messages are judged one by one: reading and rules, both models, the answer with the next
question. Prints one line of JSON: milliseconds by part, at the median and the 99th percentile.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from models.repository import ModelRepository
from models.triage.local import LocalTriage
from models.triage.request import TriageRequest

CASES = Path(__file__).parent / "cases" / "messages.jsonl"
_WARM_UP = 20


def measured(messages: list[str]) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time: {part: {p50, p99}} for reading, models, answer and total."""
    triage = LocalTriage(ModelRepository())
    times = []
    for number, message in enumerate([*messages[:_WARM_UP], *messages]):
        request = TriageRequest(text=message)
        marks = [time.process_time()]
        read = triage.task.read(request)
        marks.append(time.process_time())
        outputs = triage.outputs(read)
        marks.append(time.process_time())
        triage.task.finish(read, outputs)
        marks.append(time.process_time())
        if number >= _WARM_UP:
            times.append([*np.diff(marks), marks[-1] - marks[0]])
    shown = np.percentile(np.array(times) * 1000, [50, 99], axis=0).round(1)
    parts = ("reading", "models", "answer", "total")
    return {part: {"p50": shown[0, i], "p99": shown[1, i]} for i, part in enumerate(parts)}


def main() -> None:
    """Measure our own messages and print."""
    lines = CASES.read_text(encoding="utf-8").splitlines()
    print(json.dumps(measured([json.loads(line)["case_description"] for line in lines])))


if __name__ == "__main__":
    main()
