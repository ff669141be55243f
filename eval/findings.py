"""The findings benchmark: statuses over dialogue windows, or exact spans in CMeEE sentences.

The format of the first line decides. Dialogues count (item, status) pairs of symptom items, micro
over windows; CMeEE counts exact spans of the types sym and bod.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from eval.estimates import Counts, precision_recall_f1
from eval.progress import track
from eval.readers import Line
from eval.result import ClassScore, Details, Miss, Scored
from eval.span_readers import TYPES, LexiconSpans, Spans, TaggerSpans
from eval.training_sets import learned_from
from knowledge_base.lexicon.findings import lexicon
from models.backends.onnx import OnnxBackend
from models.errors import UnknownModel
from models.repository import ModelRepository
from models.tasks.dialogue_status import DialogueStatusTask, statuses
from models.tasks.entities import EntitiesTask
from models.text.dialogue import DialogueReader, dialogue_items
from models.text.dialogue_labels import symptom_pairs

_MOST_MISSES = 25

Pair = tuple[str, str]


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Score a file of either format; raises BenchmarkError for a line of neither."""
    first = lines[0]
    if "windows" in first.values:
        return _score_dialogues(lines, repository)
    if "entities" in first.values:
        return _score_spans(lines, repository)
    raise first.fault("expected 'windows' (dialogue status) or 'entities' (CMeEE)")


def _score_dialogues(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    dialogues = [[_window(line, w) for w in _list(line, "windows")] for line in lines]
    models: dict[str, int | str] = {"lexicon": lexicon().version}
    warnings: tuple[str, ...] = ("No learned status here: these are the rules' figures.",)
    by_rules = DialogueReader(lexicon(), dialogue_items()).read
    counts, tally = rules, _ = _read_windows(dialogues, by_rules)
    try:
        entry = repository.get(DialogueStatusTask.model)
    except UnknownModel:
        pass
    else:
        task, backend = DialogueStatusTask(entry.manifest), OnnxBackend(entry.network)
        counts, tally = _read_windows(dialogues, lambda window: statuses(task, backend, window))
        models[task.model] = entry.manifest.version
        warnings = learned_from(entry.manifest, lines[0].file)
    windows_total = sum(map(len, dialogues))
    unknown = sorted(tally.truths.keys() - dialogue_items().keys())
    beside = {f"rules_{name}": e for name, e in precision_recall_f1(rules).items()}
    return Scored(
        n=windows_total,
        estimates=precision_recall_f1(counts) | beside,
        models=models,
        details=Details(
            data=(f"{len(lines)} dialogues, {windows_total} windows.",),
            method=(
                "Symptom items only; 医生阳性 counts as present and 医生阴性 as absent.",
                "Micro over windows of (item, status), by the learned status where the repository "
                "has it; each window is read alone. `models/text/dialogue_items.yaml` says what "
                "may speak of an item.",
                "rules_*: the same by rules alone.",
                "Intervals: bootstrap over dialogues.",
            ),
            warnings=(
                *warnings,
                *(
                    f"No table knows the item {item} ({tally.truths[item]} labels): missed."
                    for item in unknown
                ),
            ),
            classes=tally.scores(),
            misses=_worst(lines, counts),
            misses_title="Worst dialogues by missed and false pairs",
        ),
    )


def _read_windows(
    dialogues: Sequence[Sequence[tuple[list[str], set[Pair]]]],
    reader: Callable[[Sequence[str]], Iterable[Pair]],
) -> tuple[Counts, _Tally]:
    """Right, found and true pairs of every dialogue [N, 3], and by item."""
    counts, tally = np.zeros((len(dialogues), 3), dtype=np.int64), _Tally()
    for number, windows in enumerate(track(dialogues, len(dialogues), "findings")):
        for utterances, truth in windows:
            found = set(reader(utterances))
            counts[number] += (len(found & truth), len(found), len(truth))
            tally.add(truth, found)
    return counts, tally


def _score_spans(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    truths = [_entities(line) for line in lines]
    texts = [line.text("text", strip=False) for line in lines]
    models: dict[str, int | str] = {"lexicon": lexicon().version}
    warnings: tuple[str, ...] = ("No entity tagger here: these are the lexicon's figures.",)
    counts, tally = dictionary, _ = _read_spans(texts, truths, LexiconSpans())
    try:
        entry = repository.get(EntitiesTask.model)
    except UnknownModel:
        pass
    else:
        counts, tally = _read_spans(texts, truths, TaggerSpans(entry))
        models[EntitiesTask.model] = entry.manifest.version
        warnings = learned_from(entry.manifest, lines[0].file)
    beside = {f"lexicon_{name}": e for name, e in precision_recall_f1(dictionary).items()}
    return Scored(
        n=len(lines),
        estimates=precision_recall_f1(counts) | beside,
        models=models,
        details=Details(
            data=(f"{len(lines)} sentences, {counts[:, 2].sum()} entities of sym and bod.",),
            method=(
                "Exact span and type, micro, by the entity tagger where the repository has it.",
                "lexicon_*: the same by the lexicon alone. Our symptoms and signs are sym; a "
                "negation that stands directly before an absent finding is part of its span, as "
                "in the set. It names no bare body parts: every bod entity counts as missed.",
                "Intervals: bootstrap over sentences.",
            ),
            warnings=warnings,
            classes=tally.scores(),
            misses=_worst(lines, counts),
            misses_title="Worst sentences by missed and false spans",
        ),
    )


def _read_spans(
    texts: Sequence[str], truths: Sequence[Spans], reader: Callable[[str], Spans]
) -> tuple[Counts, _Tally]:
    """Right, found and true spans of every sentence [N, 3], and by type."""
    counts, tally = np.zeros((len(texts), 3), dtype=np.int64), _Tally()
    rows = zip(texts, truths, strict=True)
    for number, (text, truth) in enumerate(track(rows, len(texts), "findings")):
        found = reader(text)
        counts[number] = (len(found & truth), len(found), len(truth))
        tally.add({(kind, span) for span, kind in truth}, {(kind, span) for span, kind in found})
    return counts, tally


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


def _window(line: Line, window: object) -> tuple[list[str], set[Pair]]:
    """Utterances and the true pairs of symptom items of a window."""
    if not isinstance(window, dict):
        raise line.fault("a window must be an object")
    inner = Line(line.file, line.number, window)
    utterances, labels = _list(inner, "utterances"), _list(inner, "labels")
    if not all(isinstance(text, str) for text in (*utterances, *labels)):
        raise line.fault("utterances and labels must be texts")
    try:
        truth = symptom_pairs(map(str, labels))
    except ValueError as error:
        raise line.fault(str(error)) from error
    return [str(text) for text in utterances], {(item, status) for item, status in truth}


def _entities(line: Line) -> Spans:
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
