"""What a window of a dialogue says of each symptom item: present, absent, unknown, or nothing.

The lexicon finds what the window may speak of, the model decides. A window is read alone, without
those before it. It serves evaluation and reading of dialogues; triage of a patient's own messages
reads statuses by rules that a clinician can check.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.facts import Status
from knowledge_base.yaml_files import read_yaml
from models.backends import Backend, Tensors
from models.errors import ModelIntegrityError
from models.manifest import Manifest
from models.tasks.base import run_alone
from models.text.dialogue import ITEMS, Candidate, DialogueReader, dialogue_items
from models.text.dialogue_features import BUCKETS, CHARACTERS_WEIGH, CUES, features

LABELS: tuple[Status | None, ...] = ("absent", None, "present", "unknown")
"""The network's outputs in order; None: the window does not speak of the item."""


@lru_cache(maxsize=1)
def features_digest() -> int:
    """Changes with the tables that the features are read by."""
    tables = (read_yaml(ITEMS)["items"], read_yaml(CUES)["cues"], BUCKETS, CHARACTERS_WEIGH)
    return zlib.crc32(repr(tables).encode())


class DialogueStatusTask:
    """See the module docstring; `Task[Candidate, Status | None]`."""

    model = "dialogue_status"

    def __init__(self, manifest: Manifest) -> None:
        """Raises ModelIntegrityError where the model was learned on other features than these."""
        if manifest.preprocessing["features_digest"] != features_digest():
            raise ModelIntegrityError(f"{manifest.name}: learned on other features; train it again")
        self._reader = DialogueReader(lexicon(), dialogue_items())

    def read(self, window: Sequence[str]) -> list[Candidate]:
        """The items that a window of utterances, oldest first, may speak of."""
        return self._reader.candidates(window)

    def prepare(self, request: Candidate) -> Tensors:
        """`ids` int64 [1, L] and `weights` float32 [1, L]."""
        ids, weights = features(request)
        return {"ids": ids[None], "weights": weights[None]}

    def finish(self, request: Candidate, outputs: Tensors) -> Status | None:
        """The item's status; None where the window does not speak of it."""
        return LABELS[int(outputs["logits"][0].argmax())]


def statuses(
    task: DialogueStatusTask, backend: Backend, window: Sequence[str]
) -> set[tuple[str, Status]]:
    """(item, status) of a window of utterances, without an engine."""
    answers = ((c.item, run_alone(task, backend, c)) for c in task.read(window))
    return {(item, status) for item, status in answers if status is not None}
