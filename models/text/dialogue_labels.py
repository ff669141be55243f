"""The labels of the dialogue status set, `type:item-状态:status`, as pairs of item and status.

Training and evaluation read the set through this one mapping; nothing that answers reads it.
"""

from __future__ import annotations

from collections.abc import Iterable

from knowledge_base.rules.facts import Status

Pair = tuple[str, Status]
SYMPTOM = "症状"
STATUSES: dict[str, Status] = {
    "阳性": "present",
    "医生阳性": "present",
    "阴性": "absent",
    "医生阴性": "absent",
    "未知": "unknown",
}
"""The doctor's and the patient's statuses count alike."""


def symptom_pairs(labels: Iterable[str]) -> set[Pair]:
    """The pairs of symptom items; an item may have two statuses. ValueError for another form."""
    pairs: set[Pair] = set()
    for label in labels:
        item, _, status = label.rpartition("-状态:")
        kind, _, name = item.partition(":")
        if status not in STATUSES or not name:
            raise ValueError("a label must read type:item-状态:status")
        if kind == SYMPTOM:
            pairs.add((name, STATUSES[status]))
    return pairs
