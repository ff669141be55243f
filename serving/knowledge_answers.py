"""One answer from the knowledge base, from question to record.

The question is searched, the reranker judges what may be quoted, and the answer is made of the
sentences that pass. Every answer is recorded as a decision: what a reader says of it later is said
of exactly this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from knowledge_base.answers.answer import Answer, Sentence, compose, gather
from knowledge_base.answers.quotes import Quote
from knowledge_base.language import Bilingual, Language
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.library.origin import licences
from knowledge_base.search.entry import Cited, Kind, Reader
from knowledge_base.search.filters import Filters
from knowledge_base.search.index import LONGEST_QUERY, KnowledgeIndex
from models.batching import join
from models.tasks.reranker import RerankerTask
from models.text.normalise import answered_in
from models.triage.request import TriageRequest
from models.triage.result import AI_LABEL
from serving import decisions
from serving.errors import ModelUnavailable
from serving.generator import Generated, Passage
from serving.hosting import Hosted
from serving.knowledge import reader_of
from serving.services import Services
from serving.storage.codes import DecisionKind
from serving.users import User

_TOGETHER = 10
"""Quotes in one request to the engine: others get their turn in between."""
_EMERGENCY = 2


class Question(BaseModel):
    """A question and what the passages that answer it must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    question: str = Field(min_length=1, max_length=LONGEST_QUERY)
    language: Language | None = Field(
        default=None, description="Language of the answer; that of the question by default."
    )
    audience: Reader | None = None
    department: str | None = Field(default=None, max_length=60)
    since: int | None = Field(default=None, ge=1800, le=2100)
    licence: str | None = Field(default=None, max_length=60)
    grade: str | None = Field(default=None, max_length=30)
    kind: Kind | None = None
    generate: bool = Field(
        default=True, description="Have the answer worded too, where a generator is set up."
    )

    @field_validator("department")
    @classmethod
    def _known_department(cls, code: str | None) -> str | None:
        if code is not None and code not in taxonomy().departments:
            raise ValueError("no such department")
        return code

    @field_validator("licence")
    @classmethod
    def _known_licence(cls, code: str | None) -> str | None:
        if code is not None and code not in licences():
            raise ValueError("no such licence")
        return code

    @property
    def answered_in(self) -> Language:
        """The language of the answer."""
        return self.language or answered_in(self.question)


class Citation(BaseModel):
    """Where a sentence stands: characters `start` to `end` of the passage `id`, in `language`.

    sources: the published documents behind it. also: passages that say the same.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Kind
    document: str
    title: str
    path: tuple[str, ...]
    language: Language
    start: int
    end: int
    page: int | None
    year: int | None
    licence: str
    grade: str
    sources: tuple[Cited, ...]
    also: tuple[str, ...] = ()


class AnswerSentence(BaseModel):
    """A sentence as it stands in its passage; `probability`: that it answers the question."""

    model_config = ConfigDict(frozen=True)

    text: str
    probability: float
    citation: Citation


class Differing(BaseModel):
    """Two passages about one thing that differ, the newer first, and what differs."""

    model_config = ConfigDict(frozen=True)

    kind: str
    what: str
    newer: AnswerSentence
    older: AnswerSentence


class KnowledgeAnswer(BaseModel):
    """What the knowledge base says to a question, in its own sentences.

    found: false where nothing answers; `nearest` then holds what came closest, which is no answer.
    confidence: probability that the best sentence answers. urgent: the rules read the question as
    an emergency. generated: the same in a language model's words, as far as passages support them.
    """

    model_config = ConfigDict(frozen=True)

    question: str
    language: Language
    found: bool
    confidence: float
    sentences: tuple[AnswerSentence, ...]
    disagreements: tuple[Differing, ...]
    nearest: tuple[AnswerSentence, ...]
    urgent: bool
    generated: Generated | None
    label: Bilingual
    versions: dict[str, str]


async def answer(services: Services, asked: Question, user: User) -> tuple[KnowledgeAnswer, str]:
    """The answer and the id of its decision. Raises ModelUnavailable without a reranker."""
    hosted = services.hosted
    reranker_of(hosted)  # before anything is searched
    index = services.knowledge.index
    language = asked.answered_in
    found, urgent = await asyncio.gather(
        asyncio.to_thread(gather, index, asked.question, language, filters(asked, user)),
        asyncio.to_thread(_urgent, services, asked.question),
    )
    reranked = await judge(services, hosted, asked.question, found.texts)
    made = compose(found, reranked)
    generated = await _worded(services, hosted, asked, made)
    result = _result(asked, made, urgent, generated, index)
    models = {
        name: str(hosted.models[name].manifest.version)
        for name in ("embedding", RerankerTask.model)
    }
    record = await asyncio.to_thread(
        decisions.record,
        services.db,
        kind=DecisionKind.KNOWLEDGE,
        input=asked.model_dump(mode="json"),
        result=result.model_dump(mode="json"),
        models=models,
        rules_version=index.version,
        disposition=None,
        review=None,
        actor=user.id,
    )
    return result, record.id


def reranker_of(hosted: Hosted) -> RerankerTask:
    """The reranker. Raises ModelUnavailable where the repository has none."""
    if hosted.reranker is None:
        raise ModelUnavailable("this server has no reranker: search without it, and no answers")
    return hosted.reranker


def filters(asked: Question, user: User) -> Filters:
    """What may be shown of it to this user."""
    return Filters(
        reader_of(user) or asked.audience, asked.department, asked.since, asked.licence,
        asked.grade, asked.kind,
    )  # fmt: skip


async def judge(
    services: Services, hosted: Hosted, question: str, texts: Sequence[str]
) -> NDArray[np.float32]:
    """The reranker's probability [n] that each text answers. Raises the engine's errors."""
    task = reranker_of(hosted)
    rows = await asyncio.to_thread(lambda: [task.prepare((question, text)) for text in texts])
    order = sorted(range(len(rows)), key=lambda i: rows[i]["pieces"].shape[1])
    parts = [order[i : i + _TOGETHER] for i in range(0, len(order), _TOGETHER)]
    answers = await asyncio.gather(
        *(
            hosted.infer(
                task.model,
                join([rows[i] for i in part]),
                timeout_s=services.settings.inference_timeout_s,
            )
            for part in parts
        )
    )
    judged = np.zeros(len(rows), dtype=np.float32)
    for part, one in zip(parts, answers, strict=True):
        judged[part] = task.probabilities(one.outputs["logits"])
    return judged


async def _worded(
    services: Services, hosted: Hosted, asked: Question, made: Answer
) -> Generated | None:
    if services.generator is None or not asked.generate or not made.found:
        return None
    quoted = {one.quote.entry.id: one.quote.judged for one in made.sentences}

    async def supports(claim: str, passages: Sequence[str]) -> NDArray[np.float32]:
        return await judge(services, hosted, claim, passages)

    return await services.generator.word(
        asked.question,
        asked.answered_in,
        [Passage(id=one, text=text) for one, text in quoted.items()],
        supports,
    )


def _urgent(services: Services, question: str) -> bool:
    """A question may be a call for help: the rules read it as they read a complaint."""
    try:
        return services.hosted.triage.read(TriageRequest(text=question)).level <= _EMERGENCY
    except ValueError:  # nothing that a complaint could be
        return False


def _result(
    asked: Question, made: Answer, urgent: bool, generated: Generated | None, index: KnowledgeIndex
) -> KnowledgeAnswer:
    return KnowledgeAnswer(
        question=asked.question,
        language=asked.answered_in,
        found=made.found,
        confidence=round(made.confidence, 4),
        sentences=tuple(_sentence(one) for one in made.sentences),
        disagreements=tuple(
            Differing(
                kind=one.kind, what=one.what, newer=_whole(one.newer), older=_whole(one.older)
            )
            for one in made.disagreements
        ),
        nearest=tuple(_whole(quote) for quote in made.nearest),
        urgent=urgent,
        generated=generated,
        label=AI_LABEL,
        versions={"index": index.version},
    )


def _sentence(one: Sentence) -> AnswerSentence:
    return AnswerSentence(
        text=one.text,
        probability=round(one.probability, 4),
        citation=_citation(one.quote, one.start, one.end, one.also),
    )


def _whole(quote: Quote) -> AnswerSentence:
    """A quote that is shown beside the answer, no part of it."""
    span = quote.spans[0][0], quote.spans[-1][1]
    return AnswerSentence(text=quote.text, probability=0.0, citation=_citation(quote, *span, ()))


def _citation(quote: Quote, start: int, end: int, also: tuple[str, ...]) -> Citation:
    entry, shown = quote.entry, quote.shown
    return Citation(
        id=entry.id,
        kind=entry.kind,
        document=entry.document,
        title=shown.title,
        path=shown.path,
        language=quote.language,
        start=start,
        end=end,
        page=entry.page,
        year=entry.year or None,
        licence=entry.licence,
        grade=entry.grade,
        sources=entry.sources,
        also=also,
    )
