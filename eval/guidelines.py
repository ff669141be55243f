"""The guidelines benchmark: our cards as documents, and questions over them.

    {"id", "query", "relevant": {passage: grade}} a line; `eval/cases/guideline_lookups.*.jsonl`

The cards are exported as a publisher would give them, a third each as PDF, DOCX and HTML, taken
into a library, cut and indexed like any foreign document, without the cards themselves and the
questions beside them. A chunk is as relevant as the best judged passage that it holds; of a cited
sentence the passage that it comes from is judged. Chunks in the other language are left out: each
is a translation of one that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from eval.estimates import mean
from eval.progress import track
from eval.readers import Line
from eval.result import BenchmarkError, Details, Miss, Scored
from eval.retrieval import ndcg, reciprocal_rank
from knowledge_base.answers.answer import Answer, compose, gather
from knowledge_base.cards import cards
from knowledge_base.exporting.round_trip import held, round_trip, without_blanks
from knowledge_base.language import Language
from knowledge_base.search.entry import Entry
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.tokeniser import has_han
from models.embedder import HostedEmbedder
from models.repository import ModelRepository
from models.reranker import HostedReranker
from models.tasks.embedding import EmbeddingTask
from models.tasks.reranker import RerankerTask

_PASSAGES = 60
_MOST_MISSES = 25


@dataclass(frozen=True)
class Asked:
    """A question with the passages that answer it: 2 answers, 1 helps."""

    id: str
    query: str
    relevant: Mapping[str, int]

    @property
    def language(self) -> Language:
        """That of the question."""
        return "zh" if has_han(self.query) else "en"


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Export, ingest, index, ask; raises BenchmarkError for a line of another form."""
    asked = [_asked(line) for line in lines]
    embedding, reranking = repository.get(EmbeddingTask.model), repository.get(RerankerTask.model)
    embedder, reranker = HostedEmbedder.of(embedding), HostedReranker.of(reranking)
    with TemporaryDirectory() as folder:
        entries = round_trip(cards(), Path(folder))
    index = KnowledgeIndex.build(embedder, {}, entries)
    passages = [held(entry, cards()) for entry in entries]
    places = {entry.id: place for place, entry in enumerate(entries)}
    ranked, relevant, precise, found = [], [], [], []
    for one in track(asked, len(asked), "guidelines"):
        own = _graded(one, entries, passages)
        if not own:
            raise BenchmarkError(f"{one.id}: no exported document holds what should answer it")
        hits = index.search(one.query, k=_PASSAGES, language=one.language)
        ranked.append([hit.entry.id for hit in hits if hit.language == one.language])
        relevant.append(own)
        gathered = gather(index, one.query, one.language)
        answer = compose(gathered, reranker.probabilities(one.query, gathered.texts))
        found.append(answer.found)
        precise.append(_precision(answer, one, passages, places))
    per_query = {
        "ndcg_at_10": [ndcg(r, w) for r, w in zip(ranked, relevant, strict=True)],
        "mrr_at_10": [reciprocal_rank(r, w) for r, w in zip(ranked, relevant, strict=True)],
        "answered": [float(one) for one in found],
    }
    estimates = {name: mean(values) for name, values in per_query.items()}
    estimates["citation_precision"] = mean([one for one in precise if one is not None])
    worst = sorted(range(len(asked)), key=lambda i: per_query["ndcg_at_10"][i])[:_MOST_MISSES]
    return Scored(
        n=len(asked),
        estimates=estimates,
        models={
            "embedding": embedding.manifest.version,
            "reranker": reranking.manifest.version,
        },
        details=Details(
            data=(f"{len(asked)} questions, {len(cards())} cards, {len(entries):,} chunks.",),
            method=(
                "Cards exported as PDF, DOCX and HTML, ingested and searched as foreign documents."
                " Gains are the grades, as in trec_eval. Citation precision: share of the cited"
                " sentences that stand in a passage judged relevant, averaged over the answered"
                " questions.",
            ),
            misses=tuple(
                Miss(
                    asked[i].query[:80], " ".join(relevant[i])[:80], " ".join(ranked[i][:3]),
                    f"nDCG@10 {per_query['ndcg_at_10'][i]:.2f}",
                )
                for i in worst
            ),
            misses_title="Worst questions: what was wanted, and the first three found",
        ),
    )  # fmt: skip


def _asked(line: Line) -> Asked:
    relevant = line.values.get("relevant")
    known = {p.id for card in cards().values() for p in card.passages}
    if not isinstance(relevant, dict) or not relevant:
        raise line.fault("no passages in 'relevant'")
    for passage, grade in relevant.items():
        if passage not in known or not isinstance(grade, int) or grade < 1:
            raise line.fault(f"{passage}: {grade} is no passage with a grade")
    return Asked(line.id, line.text("query"), relevant)


def _graded(
    one: Asked, entries: Sequence[Entry], passages: Sequence[Mapping[str, str]]
) -> dict[str, int]:
    grades = {}
    for entry, own in zip(entries, passages, strict=True):
        grade = max((one.relevant.get(passage, 0) for passage in own), default=0)
        if grade and one.language in entry.shown:
            grades[entry.id] = grade
    return grades


def _precision(
    answer: Answer, one: Asked, passages: Sequence[Mapping[str, str]], places: Mapping[str, int]
) -> float | None:
    """Share of the cited sentences whose passage is judged relevant; None without an answer."""
    if not answer.found:
        return None
    right = 0
    for sentence in answer.sentences:
        words = without_blanks(sentence.text)
        own = passages[places[sentence.quote.entry.id]]
        right += any(words in text and one.relevant.get(p, 0) for p, text in own.items())
    return right / len(answer.sentences)
