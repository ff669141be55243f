"""Pairs of short Chinese texts for the relevance model: with a label, and without one."""

from __future__ import annotations

import random
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from models.tasks.relevance import KINDS, Kind
from training.text.readers import rows, text_of


@dataclass(frozen=True)
class PairSet:
    """One of the three sets: where it lies, its fields, and names of its labels by code.

    `new_first`: the first texts of the dev part are new, so pairs are held out by them; else they
    occur in the training part with other second texts, and pairs are held out one by one.
    """

    name: str
    first: str
    second: str
    zh: str
    en: str
    labels: dict[str, tuple[str, str]]
    new_first: bool = False


SETS: dict[Kind, PairSet] = {
    "query_title": PairSet(
        "cblue/KUAKE-QTR", "query", "title", "查询与标题", "A query and a page's title",
        {
            "0": ("不相关", "about something else"),
            "1": ("略相关", "of little use"),
            "2": ("部分相符", "answers in part"),
            "3": ("相符", "what was asked for"),
        },
    ),
    "query_query": PairSet(
        "cblue/KUAKE-QQR", "query1", "query2", "两个查询", "Two queries",
        {
            "0": ("不同或更宽", "another question, or a wider one"),
            "1": ("更窄", "a narrower question"),
            "2": ("同一问题", "the same question"),
        },
        new_first=True,
    ),
    "question_question": PairSet(
        "cblue/CHIP-STS", "text1", "text2", "两个问句", "Two questions",
        {"0": ("意思不同", "not the same"), "1": ("意思相同", "the same")},
    ),
}  # fmt: skip
"""In the order of KINDS and of the network's columns."""

_ENDS = list(accumulate(len(SETS[kind].labels) for kind in KINDS))
COLUMNS = tuple(
    slice(end - len(SETS[kind].labels), end) for kind, end in zip(KINDS, _ENDS, strict=True)
)
"""Each kind's columns of the network's output."""


@dataclass(frozen=True)
class Pair:
    """`kind` counts in KINDS, `label` in its set's labels; -1 where nobody gave one."""

    kind: int
    first: str
    second: str
    label: int

    @property
    def unordered(self) -> tuple[int, str, str]:
        """The same for a pair and for the pair turned round."""
        first, second = sorted((self.first, self.second))
        return self.kind, first, second

    @property
    def group(self) -> int:
        """A fixed number in [0, 1000) for all pairs that are held out together."""
        alone = SETS[KINDS[self.kind]].new_first
        text = self.first if alone else f"{self.first}\n{self.second}"
        return zlib.crc32(text.encode("utf-8")) % 1000


def labelled(data_dir: Path, part: str, limit: int | None = None) -> list[Pair]:
    """The pairs of `train` or `dev`, of every set at most `limit`."""
    return [pair for number in range(len(KINDS)) for pair in _of(data_dir, number, part, limit)]


def _of(data_dir: Path, number: int, part: str, limit: int | None) -> Iterator[Pair]:
    source = SETS[KINDS[number]]
    codes = {code: place for place, code in enumerate(source.labels)}
    for row in rows(data_dir, f"{source.name}.{part}", limit):
        label = codes[text_of(row, "label")]
        yield Pair(number, text_of(row, source.first), text_of(row, source.second), label)


def without(pairs: Sequence[Pair], others: Sequence[Pair]) -> list[Pair]:
    """The pairs that are none of `others`, turned round or not."""
    known = {pair.unordered for pair in others}
    return [pair for pair in pairs if pair.unordered not in known]


def siblings(pairs: Sequence[Pair], known: Collection[Pair], size: int, seed: int) -> list[Pair]:
    """At most `size` pairs of second texts that share a first one, none of them in `known`.

    They are like the labelled pairs, near but not the same, and nobody has labelled them.
    """
    groups: dict[tuple[int, str], list[str]] = {}
    for pair in pairs:
        groups.setdefault((pair.kind, pair.first), []).append(pair.second)
    several = [(kind, texts) for (kind, _), texts in groups.items() if len(texts) > 2]
    taken = {pair.unordered for pair in known}
    dice = random.Random(seed)
    found: list[Pair] = []
    for _ in range(size if several else 0):
        kind, texts = dice.choice(several)
        first, second = dice.sample(texts, 2)
        pair = Pair(kind, first, second, -1)
        if first != second and pair.unordered not in taken:
            taken.add(pair.unordered)
            found.append(pair)
    return found
