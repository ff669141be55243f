"""Two readers of CMeEE sentences: the lexicon's, and the entity tagger's where there is one.

Each gives the spans of the measured types as the set writes them: ("start-end", type), the end
inclusive. They read a sentence and nothing of its labels.
"""

from __future__ import annotations

from knowledge_base.lexicon.findings import lexicon
from models.backends.onnx import OnnxBackend
from models.repository import ModelEntry
from models.tasks.base import run_alone
from models.tasks.entities import EntitiesTask
from models.text.findings import Finding, Reader

TYPES = ("sym", "bod")
_SYMPTOM_KINDS = frozenset({"symptom", "sign"})
# CMeEE's spans hold the negation: 无咳嗽.
_NEGATION = ("没有", "未见", "无", "未", "不")

Spans = set[tuple[str, str]]


class LexiconSpans:
    """Our symptoms and signs as sym; the lexicon names no bare body parts, so it gives no bod."""

    def __init__(self) -> None:
        self._reader = Reader()

    def __call__(self, text: str) -> Spans:
        """Spans of one sentence."""
        return {
            (_span(text, finding), "sym")
            for finding in self._reader.read(text).findings
            if lexicon()[finding.code].kind in _SYMPTOM_KINDS
        }


class TaggerSpans:
    """The entities that the tagger names."""

    def __init__(self, entry: ModelEntry) -> None:
        self._task = EntitiesTask(entry.manifest, entry.folder)
        self._backend = OnnxBackend(entry.network)

    def __call__(self, text: str) -> Spans:
        """Spans of one sentence, read window by window."""
        return {
            (f"{begin + entity.start}-{begin + entity.end - 1}", entity.kind)
            for begin, part in self._task.windows(text)
            for entity in run_alone(self._task, self._backend, part)
            if entity.kind in TYPES
        }


def _span(text: str, finding: Finding) -> str:
    start = finding.start
    if finding.status == "absent":
        before = text[:start]
        start -= next((len(n) for n in _NEGATION if before.endswith(n)), 0)
    return f"{start}-{finding.end - 1}"
