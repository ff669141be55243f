"""Answers from the knowledge base as the service records them, for tests of what follows."""

from __future__ import annotations

from knowledge_base.cards import cards
from knowledge_base.search.entry import Entry, card_entries
from serving import decisions
from serving.decisions import DecisionRecord
from serving.knowledge_answers import AnswerSentence, Citation, KnowledgeAnswer, Question
from serving.reviews.policy import ReviewPolicy
from serving.storage.codes import DecisionKind
from serving.storage.database import Database

QUOTED = ("chest-pain#when_to_worry:1", "chest-pain#when_to_worry:2")
NOT_QUOTED = "chest-pain#refer:1"


def record_answer(db: Database, *, policy: ReviewPolicy, actor: str = "usr_app") -> DecisionRecord:
    """An answer that quotes QUOTED, with the review that the policy asks for by itself."""
    entries = {e.id: e for e in card_entries([cards()["chest-pain"]])}
    asked = Question(question="胸口像压了石头一样，要不要叫救护车？")
    decision_id = db.ids.new("dec")
    answer = KnowledgeAnswer(
        question=asked.question,
        language="zh",
        found=True,
        confidence=0.93,
        sentences=tuple(_sentence(entries[one]) for one in QUOTED),
        disagreements=(),
        nearest=(),
        urgent=True,
        generated=None,
        label={"zh": "AI 摘录", "en": "Quoted by AI"},
        versions={"index": "test"},
    )
    kind = DecisionKind.KNOWLEDGE
    return decisions.record(
        db,
        kind=kind,
        input=asked.model_dump(mode="json"),
        result=answer.model_dump(mode="json"),
        models={"embedding": "1", "reranker": "1"},
        rules_version="test",
        disposition=None,
        review=policy.request(decision_id=decision_id, kind=kind, disposition=None),
        actor=actor,
        decision_id=decision_id,
    )


def _sentence(entry: Entry) -> AnswerSentence:
    shown = entry.shown["zh"]
    citation = Citation(
        id=entry.id,
        kind=entry.kind,
        document=entry.document,
        title=shown.title,
        path=shown.path,
        language="zh",
        start=0,
        end=len(shown.text),
        page=None,
        year=entry.year,
        licence=entry.licence,
        grade=entry.grade,
        sources=entry.sources,
    )
    return AnswerSentence(text=shown.text, probability=0.93, citation=citation)
