"""What a Chinese text asks for (intent), and the medical entities that it names, in one pass.

Reads at most one window of text; `windows` cuts a longer one at sentence marks. States no
urgency and no status: whether a symptom is denied is the findings reader's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.entities import TAGS, Entity, best_tags, runs
from models.text.pieces import VOCABULARY, PieceReader, Pieces

_MARK = re.compile(r"[。！？!?；;\n]|[，,、](?=.{0,40}$)")


@dataclass(frozen=True)
class ClinicalText:
    """Intent codes with probabilities, the most probable first; entities in order of place."""

    intents: tuple[tuple[str, float], ...]
    entities: tuple[Entity, ...]


class ClinicalTextTask:
    """See the module docstring; `folder` is where the model's vocabulary lies."""

    model = "clinical_text"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._longest = int(manifest.preprocessing["longest"])
        self._pieces = PieceReader(folder / VOCABULARY, self._longest)
        self._kinds = str(manifest.preprocessing["entity_types"]).split()
        self._intents = tuple(label.code for label in manifest.labels)
        self._temperature = manifest.calibration.temperature

    def prepare(self, request: str) -> Tensors:
        """`ids` int64 [1, L], L at most the manifest's `longest`."""
        return {"ids": self._pieces(request).ids[None]}

    def finish(self, request: str, outputs: Tensors) -> ClinicalText:
        """`outputs`: `intent` [1, C] and `tags` [1, L, T * 5]."""
        probabilities = softmax(outputs["intent"], self._temperature)[0]
        order = np.argsort(-probabilities, kind="stable")
        return ClinicalText(
            tuple((self._intents[i], float(probabilities[i])) for i in order),
            tuple(entities(self._pieces(request), outputs["tags"][0], self._kinds)),
        )

    def windows(self, text: str) -> Iterator[tuple[int, str]]:
        """Parts of a text that fit, each with the place where it begins."""
        return windows(text, self._longest - 1)


def windows(text: str, longest: int) -> Iterator[tuple[int, str]]:
    """Parts of at most `longest` characters, cut after the last sentence mark that fits."""
    begin = 0
    while begin < len(text):
        part = text[begin : begin + longest]
        if begin + len(part) < len(text):
            marks = [m.end() for m in _MARK.finditer(part)]
            part = part[: marks[-1]] if marks else part
        yield begin, part
        begin += len(part)


def entities(pieces: Pieces, scores: np.ndarray, kinds: list[str]) -> list[Entity]:
    """Entities of one text: `scores` [>= L, T * 5], the first row the text's START."""
    places = len(pieces.spans)
    split = scores[1 : places + 1].reshape(places, len(kinds), TAGS).transpose(1, 0, 2)
    found = [
        Entity(kind, pieces.spans[first][0], pieces.spans[last][1])
        for kind, tags in zip(kinds, best_tags(split), strict=True)
        for first, last in runs(tags)
    ]
    return sorted(found, key=lambda e: (e.start, e.end, e.kind))
