"""The findings benchmark: statuses over dialogue windows, or exact spans in CMeEE sentences.

The format of the first line decides. Dialogues count (item, status) pairs of symptom items, micro
over windows; CMeEE counts exact spans of the types sym and bod.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from eval.dialogue import DialogueReader
from eval.estimates import Counts, precision_recall_f1
from eval.progress import track
from eval.readers import Line
from eval.result import ClassScore, Details, Miss, Scored
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.facts import Status
from knowledge_base.yaml_files import ContentError, read_yaml
from models.repository import ModelRepository
from models.text.findings import Finding, Reader

ITEMS = Path(__file__).parent / "crosswalks" / "dialogue_items.yaml"
SYMPTOM = "症状"
STATUSES: dict[str, Status] = {
    "阳性": "present",
    "医生阳性": "present",
    "阴性": "absent",
    "医生阴性": "absent",
    "未知": "unknown",
}
TYPES = ("sym", "bod")
_SYMPTOM_KINDS = frozenset({"symptom", "sign"})
# CMeEE's spans hold the negation: 无咳嗽.
_NEGATION = ("没有", "未见", "无", "未", "不")
_MOST_MISSES = 25

Pair = tuple[str, str]


def score(lines: Sequence[Line], _repository: ModelRepository) -> Scored:
    """Score a file of either format; raises BenchmarkError for a line of neither."""
    first = lines[0]
    if "windows" in first.values:
        return _score_dialogues(lines)
    if "entities" in first.values:
        return _score_spans(lines)
    raise first.fault("expected 'windows' (dialogue status) or 'entities' (CMeEE)")


@lru_cache(maxsize=1)
def dialogue_items() -> dict[str, tuple[str, ...]]:
    """Item to finding codes; raises ContentError for a code that the lexicon lacks."""
    raw = read_yaml(ITEMS)["items"]
    assert isinstance(raw, dict)
    items = {str(item): tuple(codes) for item, codes in raw.items()}
    strange = {code for codes in items.values() for code in codes} - lexicon().keys()
    if strange:
        raise ContentError(f"{ITEMS.name}: the lexicon lacks {sorted(strange)}")
    return items


def _score_dialogues(lines: Sequence[Line]) -> Scored:
    dialogues = [[_window(line, w) for w in _list(line, "windows")] for line in lines]
    items = dialogue_items()
    reader = DialogueReader(lexicon(), items)
    counts = np.zeros((len(lines), 3), dtype=np.int64)
    tally = _Tally()
    for number, windows in enumerate(track(dialogues, len(lines), "findings")):
        for utterances, truth in windows:
            found = set(reader.read(utterances))
            counts[number] += (len(found & truth), len(found), len(truth))
            tally.add(truth, found)
    windows_total = sum(map(len, dialogues))
    unknown = sorted(tally.truths.keys() - items.keys())
    return Scored(
        n=windows_total,
        estimates=precision_recall_f1(counts),
        models={"lexicon": lexicon().version},
        details=Details(
            data=(f"{len(lines)} dialogues, {windows_total} windows.",),
            method=(
                "Symptom items only; 医生阳性 counts as present and 医生阴性 as absent.",
                "Micro over windows of (item, status). Items become finding codes by "
                "`eval/crosswalks/dialogue_items.yaml`.",
                "Intervals: bootstrap over dialogues.",
            ),
            warnings=tuple(
                f"No crosswalk knows the item {item} ({tally.truths[item]} labels): missed."
                for item in unknown
            ),
            classes=tally.scores(),
            misses=_worst(lines, counts),
            misses_title="Worst dialogues by missed and false pairs",
        ),
    )


def _score_spans(lines: Sequence[Line]) -> Scored:
    truths = [_entities(line) for line in lines]
    texts = [line.text("text", strip=False) for line in lines]
    reader = Reader()
    counts = np.zeros((len(lines), 3), dtype=np.int64)
    tally = _Tally()
    rows = zip(texts, truths, strict=True)
    for number, (text, truth) in enumerate(track(rows, len(lines), "findings")):
        found = {_span(text, f) for f in reader.read(text).findings if _is_symptom(f)}
        counts[number] = (len(found & truth), len(found), len(truth))
        tally.add({(kind, span) for span, kind in truth}, {(kind, span) for span, kind in found})
    return Scored(
        n=len(lines),
        estimates=precision_recall_f1(counts),
        models={"lexicon": lexicon().version},
        details=Details(
            data=(f"{len(lines)} sentences, {counts[:, 2].sum()} entities of sym and bod.",),
            method=(
                "Exact span and type, micro. Our symptoms and signs are sym; a negation that "
                "stands directly before an absent finding is part of its span, as in the set.",
                "The lexicon names findings, not bare body parts: it gives no bod, and every bod "
                "entity counts as missed.",
                "Intervals: bootstrap over sentences.",
            ),
            classes=tally.scores(),
            misses=_worst(lines, counts),
            misses_title="Worst sentences by missed and false spans",
        ),
    )


class _Tally:
    """Counts by item or type."""

    def __init__(self) -> None:
        self.hits: dict[str, int] = {}
        self.founds: dict[str, int] = {}
        self.truths: dict[str, int] = {}

    def add(self, truth: Iterable[Pair], found: Iterable[Pair]) -> None:
        """Pairs whose first part names the class."""
        wanted, given = set(truth), set(found)
        for counter, pairs in (
            (self.hits, wanted & given),
            (self.founds, given),
            (self.truths, wanted),
        ):
            for name, _ in pairs:
                counter[name] = counter.get(name, 0) + 1

    def scores(self) -> tuple[ClassScore, ...]:
        """A score per class, the most frequent first."""
        rows = []
        for name in self.truths.keys() | self.founds.keys():
            hit, found, true = (c.get(name, 0) for c in (self.hits, self.founds, self.truths))
            rows.append(
                ClassScore(
                    name,
                    true,
                    hit / found if found else np.nan,
                    hit / true if true else np.nan,
                    2 * hit / (found + true),
                )
            )
        return tuple(sorted(rows, key=lambda s: (-s.n, s.label)))


def _list(line: Line, field: str) -> list[object]:
    value = line.values.get(field)
    if not isinstance(value, list):
        raise line.fault(f"{field!r} must be a list")
    return value


def _window(line: Line, window: object) -> tuple[list[str], set[tuple[str, Status]]]:
    """Utterances and the true pairs of symptom items of a window."""
    if not isinstance(window, dict):
        raise line.fault("a window must be an object")
    inner = Line(line.file, line.number, window)
    utterances, labels = _list(inner, "utterances"), _list(inner, "labels")
    if not all(isinstance(text, str) for text in (*utterances, *labels)):
        raise line.fault("utterances and labels must be texts")
    truth = set()
    for label in map(str, labels):
        item, _, status = label.rpartition("-状态:")
        kind, _, name = item.partition(":")
        if status not in STATUSES or not name:
            raise line.fault("a label must read type:item-状态:status")
        if kind == SYMPTOM:
            truth.add((name, STATUSES[status]))
    return [str(text) for text in utterances], truth


def _entities(line: Line) -> set[tuple[str, str]]:
    """True entities as ("start-end", type); `end` is inclusive, as in the file."""
    truth = set()
    for entity in _list(line, "entities"):
        if not isinstance(entity, dict):
            raise line.fault("an entity must be an object")
        start, end, kind = (entity.get(key) for key in ("start_idx", "end_idx", "type"))
        if not (isinstance(start, int) and isinstance(end, int) and isinstance(kind, str)):
            raise line.fault("an entity needs start_idx, end_idx and type")
        if kind in TYPES:
            truth.add((f"{start}-{end}", kind))
    return truth


def _is_symptom(finding: Finding) -> bool:
    return lexicon()[finding.code].kind in _SYMPTOM_KINDS


def _span(text: str, finding: Finding) -> tuple[str, str]:
    start = finding.start
    if finding.status == "absent":
        before = text[:start]
        start -= next((len(n) for n in _NEGATION if before.endswith(n)), 0)
    return f"{start}-{finding.end - 1}", "sym"


def _worst(lines: Sequence[Line], counts: Counts) -> tuple[Miss, ...]:
    wrong = counts[:, 1] + counts[:, 2] - 2 * counts[:, 0]
    order = [int(i) for i in np.argsort(-wrong, kind="stable")[:_MOST_MISSES] if wrong[i] > 0]
    return tuple(
        Miss(
            lines[i].id,
            f"{counts[i, 2]} true",
            f"{counts[i, 1]} found",
            f"{counts[i, 0]} right",
        )
        for i in order
    )
