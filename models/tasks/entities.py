"""The medical entities that a Chinese clinical sentence names: exact spans with their types.

Reads at most one window of text; `windows` cuts a longer one at sentence marks. States no
urgency and no status: whether a symptom is denied is the findings reader's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.backends import Tensors
from models.manifest import Manifest
from models.text.entities import TAGS, Entity, likely_spans
from models.text.names import NAMES, NameLists
from models.text.pieces import VOCABULARY, PieceReader

_MARK = re.compile(r"[。！？!?；;\n]|[，,、](?=.{0,40}$)")


class EntitiesTask:
    """See the module docstring; `folder` is where the model's vocabulary and name lists lie."""

    model = "entities"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._longest = int(manifest.preprocessing["longest"])
        self._widest = int(manifest.preprocessing["widest"])
        self._pieces = PieceReader(folder / VOCABULARY, self._longest)
        self._names = NameLists.read(folder / NAMES)
        self._kinds = str(manifest.preprocessing["entity_types"]).split()
        self._thresholds = [manifest.thresholds[kind] for kind in self._kinds]

    def prepare(self, request: str) -> Tensors:
        """`ids` and `names` int64 [1, L], L at most the manifest's `longest`."""
        pieces = self._pieces(request)
        return {"ids": pieces.ids[None], "names": self._names.codes(request, pieces.spans)[None]}

    def finish(self, request: str, outputs: Tensors) -> tuple[Entity, ...]:
        """Entities in order of place; `outputs["tags"]` [1, L, T * 5], the first row START's."""
        spans = self._pieces(request).spans
        scores = outputs["tags"][0, 1 : len(spans) + 1].astype(np.float32)
        split = scores.reshape(len(spans), len(self._kinds), TAGS).transpose(1, 0, 2)
        entities = (
            Entity(self._kinds[s.kind], spans[s.first][0], spans[s.last][1], s.probability)
            for s in likely_spans(split, self._thresholds, self._widest)
        )
        return tuple(sorted(entities, key=lambda e: (e.start, e.end, e.kind)))

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
