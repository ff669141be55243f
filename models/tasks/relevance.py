"""How two short Chinese texts relate: a query and a title, two queries, or two questions.

One network answers for three label sets; the manifest's heads name them. States no urgency.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal, get_args

from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Manifest
from models.text.pieces import VOCABULARY, PieceReader, joined

Kind = Literal["query_title", "query_query", "question_question"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class RelevanceRequest:
    """Two texts and what they are: each kind of pair has labels of its own."""

    kind: Kind
    first: str
    second: str


class RelevanceTask:
    """`folder` is where the model's vocabulary lies.

    The heads share the output `logits`: each takes as many columns as it has labels, in the
    manifest's order. Raises ValueError for a manifest without a kind's head.
    """

    model = "relevance"

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._pieces = PieceReader(folder / VOCABULARY)
        self._first = int(manifest.preprocessing["first"])
        self._longest = int(manifest.preprocessing["longest"])
        self._heads = {head.code: head for head in manifest.heads}
        if missing := [kind for kind in KINDS if kind not in self._heads]:
            raise ValueError(f"the relevance model has no head {missing[0]}")
        ends = accumulate(len(head.labels) for head in manifest.heads)
        self._ends = dict(zip(self._heads, ends, strict=True))

    def labels(self, kind: Kind) -> tuple[str, ...]:
        """The codes of a kind's labels."""
        return tuple(label.code for label in self._heads[kind].labels)

    def prepare(self, request: RelevanceRequest) -> Tensors:
        """`pieces` int64 [1, L]; what is too long loses its end, the first text its middle."""
        first, second = (self._pieces(text).ids for text in (request.first, request.second))
        return {
            "pieces": joined(first, second, self._pieces.stop, self._first, self._longest)[None]
        }

    def finish(self, request: RelevanceRequest, outputs: Tensors) -> dict[str, float]:
        """Every label of the request's kind with its probability; `outputs["logits"]` [1, C]."""
        head, end = self._heads[request.kind], self._ends[request.kind]
        logits = outputs["logits"][:, end - len(head.labels) : end]
        found = softmax(logits, head.calibration.temperature)[0]
        return {label.code: float(p) for label, p in zip(head.labels, found, strict=True)}
