"""What the case page shows of a decision: typed parts made from the recorded JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from knowledge_base.cards import cards
from knowledge_base.language import Bilingual
from knowledge_base.lexicon.findings import lexicon
from models.imaging.opinion import ImagingResult
from models.manifest import Label, Manifest
from models.matching.request import MatchRequest
from models.triage.acuity_request import AcuityRequest
from models.triage.acuity_result import AcuityResult
from models.triage.request import TriageRequest
from models.triage.result import CitedPassage, FindingResult, TriageResult
from serving.curation import feedback
from serving.curation.feedback import Feedback
from serving.decisions import DecisionRecord
from serving.knowledge_answers import KnowledgeAnswer, Question
from serving.matching import MatchAnswer
from serving.services import Services
from serving.storage.codes import DecisionKind
from serving.web.evidence import MARKS, Mark, Segment, mark_of, marked


@dataclass(frozen=True)
class TriageView:
    """A triage decision: the words with their evidence, and everything that was concluded.

    passages: all that the answer cites, each once; titles: of their cards, in both languages.
    """

    request: TriageRequest
    result: TriageResult
    messages: list[list[Segment]]
    marks: tuple[Mark, ...]
    findings: list[tuple[FindingResult, Mark]]
    answers: list[tuple[Bilingual, str]]
    contradictions: list[Bilingual]
    vitals: Mapping[str, float]
    passages: tuple[CitedPassage, ...]
    titles: Mapping[str, Bilingual]


@dataclass(frozen=True)
class AcuityView:
    """An acuity decision: the note with its evidence, and the level with what decided it."""

    request: AcuityRequest
    result: AcuityResult
    messages: list[list[Segment]]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class MatchView:
    """A match: what was asked for, and who was proposed."""

    request: MatchRequest
    result: MatchAnswer


@dataclass(frozen=True)
class KnowledgeView:
    """An answer from the knowledge base: what was asked and how, the answer, what readers say."""

    request: Question
    result: KnowledgeAnswer
    feedback: list[Feedback]


@dataclass(frozen=True)
class ImageView:
    """One image of a study. `layer`: the map is kept apart from the picture, too."""

    number: int
    result: ImagingResult
    has_heatmap: bool
    layer: bool
    format: str
    names: Mapping[str, Bilingual]

    @property
    def ood_share(self) -> float | None:
        """The out-of-distribution score as a share of its limit, for a bar; at most 2."""
        score, limit = self.result.ood_score, self.result.ood_threshold
        if score is None or limit is None or limit <= 0:
            return None
        return min(max(score / limit, 0.0), 2.0)


@dataclass(frozen=True)
class ImagingView:
    """An imaging decision. `labels` are what a correction may say.

    title: the model's, empty where it is no longer hosted. seen_before: for the number of an
    image, the decision in which the same picture was read already.
    """

    decision: DecisionRecord
    title: Bilingual
    images: tuple[ImageView, ...]
    labels: tuple[Label, ...]
    age_years: float | None
    site: str | None
    seen_before: Mapping[int, str]


def triage_view(decision: DecisionRecord) -> TriageView:
    """A triage decision as its page shows it."""
    request = TriageRequest.model_validate(decision.input)
    result = TriageResult.model_validate(decision.result)
    listed: dict[tuple[str, Mark], FindingResult] = {}
    for finding in result.findings:
        listed.setdefault((finding.code, mark_of(finding)), finding)
    cited = (*result.passages, *result.advice.watch_for, *result.advice.self_care)
    found = [(finding, mark) for (_, mark), finding in listed.items()]
    found.sort(key=lambda pair: MARKS.index(pair[1]))
    return TriageView(
        request=request,
        result=result,
        messages=marked(request.texts, result.findings),
        marks=tuple(m for m in MARKS if any(mark == m for _, mark in found)),
        findings=found,
        answers=[(name_of(code), status) for code, status in request.answers.items()],
        contradictions=[name_of(code) for code in result.contradictions],
        vitals=request.vitals.numbers(),
        passages=tuple({p.id: p for p in cited}.values()),
        titles={p.card: _title(p) for p in cited},
    )


def _title(passage: CitedPassage) -> Bilingual:
    """The title of a passage's card; as it was cited where the card is gone since."""
    card = cards().get(passage.card)
    return {"zh": passage.title, "en": passage.title} if card is None else card.head.title


def acuity_view(decision: DecisionRecord) -> AcuityView:
    """An acuity decision as its page shows it."""
    request = AcuityRequest.model_validate(decision.input)
    result = AcuityResult.model_validate(decision.result)
    own = [finding for finding in result.findings if finding.message == 0]
    return AcuityView(
        request=request,
        result=result,
        messages=marked((request.text,), own) if request.text else [],
        marks=tuple(m for m in MARKS if any(mark_of(finding) == m for finding in own)),
    )


def match_view(decision: DecisionRecord) -> MatchView:
    """A match as its page shows it."""
    return MatchView(
        MatchRequest.model_validate(decision.input), MatchAnswer.model_validate(decision.result)
    )


def knowledge_view(services: Services, decision: DecisionRecord) -> KnowledgeView:
    """An answer from the knowledge base as its page shows it."""
    return KnowledgeView(
        Question.model_validate(decision.input),
        KnowledgeAnswer.model_validate(decision.result),
        feedback.on_decision(services.db, decision.id),
    )


def imaging_view(services: Services, decision: DecisionRecord) -> ImagingView:
    """An imaging decision as its page shows it."""
    stored: dict[str, Any] = dict(decision.input)
    answered: dict[str, Any] = dict(decision.result)
    results = [ImagingResult.model_validate(r) for r in answered["images"]]
    entry = services.hosted.models.get(stored["task"])
    manifest = None if entry is None else entry.manifest
    return ImagingView(
        decision=decision,
        title={} if manifest is None else manifest.title,
        images=tuple(
            ImageView(
                number=number,
                result=result,
                has_heatmap=image["heatmap"] is not None,
                layer=image.get("layer") is not None,
                format=image["format"],
                names=_names(manifest, result),
            )
            for number, (result, image) in enumerate(zip(results, stored["images"], strict=True))
        ),
        labels=() if manifest is None else tuple(manifest.labels),
        age_years=stored["age_years"],
        site=stored.get("site"),
        seen_before={d["image"]: d["decision_id"] for d in answered.get("duplicate_of", ())},
    )


def _names(manifest: Manifest | None, result: ImagingResult) -> dict[str, Bilingual]:
    """Names by code: those of the record, before those of today's model."""
    names: dict[str, Bilingual] = {}
    if manifest is not None:
        names |= {label.code: {"zh": label.zh, "en": label.en} for label in manifest.labels}
        names |= {group.code: {"zh": group.zh, "en": group.en} for group in manifest.groups}
    names |= {p.code: p.name for p in result.probabilities}
    point = result.operating_point
    if point is not None and point.name is not None:
        names[point.label] = point.name
    return names


def view_of(
    services: Services, decision: DecisionRecord
) -> TriageView | AcuityView | MatchView | ImagingView | KnowledgeView | None:
    """The view for the decision's kind; None for kinds without a page of their own."""
    match decision.kind:
        case DecisionKind.TRIAGE:
            return triage_view(decision)
        case DecisionKind.ACUITY:
            return acuity_view(decision)
        case DecisionKind.MATCH:
            return match_view(decision)
        case DecisionKind.IMAGING:
            return imaging_view(services, decision)
        case DecisionKind.KNOWLEDGE:
            return knowledge_view(services, decision)
        case _:
            return None


def name_of(code: str) -> Bilingual:
    """A finding's names; the code itself where the lexicon has changed since."""
    terms = lexicon()
    if code not in terms:
        return {"zh": code, "en": code}
    return {"zh": terms[code].zh, "en": terms[code].en}
