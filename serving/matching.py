"""One match from request to record: the need, the conditions, the order, one transaction.

An emergency never waits for a match: with urgency 1 or 2 the answer says first where to go now,
whether or not a doctor fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from knowledge_base.language import Bilingual
from knowledge_base.matching.weights import weighting
from knowledge_base.matching.wording import fill, wording
from knowledge_base.rules.scale import dispositions
from models.matching.match import match
from models.matching.profile import Need
from models.matching.request import MatchRequest, choices_of
from models.matching.result import MatchResult
from models.triage.result import AI_LABEL
from serving import decisions
from serving.errors import FieldError, InvalidInput, NotFound
from serving.services import Services
from serving.storage import matches, roster
from serving.storage.codes import DecisionKind
from serving.users import User

EMERGENCY_UP_TO = 2
FARTHEST = timedelta(days=60)
"""How far ahead one may match: duty hours of a week say little about the season after next."""

LATE = timedelta(minutes=5)
"""How far back: clocks differ by a little."""

TRIAGE_DEPARTMENTS = 3
"""How many of a triage's departments are asked for, in its order."""


class MatchAnswer(MatchResult):
    """A recorded match. `emergency` comes first where it is there; `day` is the hospital's."""

    match_id: str
    at: datetime
    day: date
    emergency: Bilingual | None
    roster_version: int
    weights_version: str
    label: Bilingual


def propose(
    services: Services,
    request: MatchRequest,
    user: User,
    *,
    alongside: Callable[[Session, MatchAnswer], None] = lambda _session, _answer: None,
) -> MatchAnswer:
    """Match and record. `alongside` writes in the same transaction as the decision. Blocking.

    Raises NotFound for an unknown triage, InvalidInput for a time out of range.
    """
    db = services.db
    request, consult_id = _completed(services, request)
    at = _local_time(services, request)
    with db.read() as session:
        stored = services.rosters.in_force(session)
        taken = roster.taken_on(session, at.date())
        weights = matches.weights_in_force(session)
    result = match(stored.roster, _need(request, at), taken, weights.learned if weights else {})
    answer = MatchAnswer(
        **dict(result),
        match_id=db.ids.new("dec"),
        at=at,
        day=at.date(),
        emergency=_emergency(request.urgency),
        roster_version=stored.version,
        weights_version=weights_label(weights),
        label=AI_LABEL,
    )
    with db.write() as session:
        alongside(session, answer)
        decisions.record(
            db,
            kind=DecisionKind.MATCH,
            input=request.model_dump(mode="json"),
            result=answer.model_dump(mode="json"),
            models={"match_weights": answer.weights_version},
            rules_version=f"matching-{weighting().version}",
            disposition=request.urgency,
            review=None,  # whoever accepts or refuses the doctor reviews the proposal
            actor=user.id,
            decision_id=answer.match_id,
            consult_id=consult_id,
            within=session,
        )
    return answer


def weights_label(weights: matches.StoredWeights | None) -> str:
    """`1.0` is version 1 of weights.yaml as shipped, `1.3` the third version learned over it."""
    if weights is None:
        return f"{weighting().version}.0"
    return f"{weights.base}.{weights.version}"


def _completed(services: Services, request: MatchRequest) -> tuple[MatchRequest, str | None]:
    """The request with what its triage knows, and the triage's consult."""
    if request.decision_id is None:
        return request, None
    triage = decisions.get(services.db, request.decision_id)
    if triage.kind is not DecisionKind.TRIAGE:
        raise NotFound("no such triage")
    told: Mapping[str, Any] = triage.input
    said: Mapping[str, Any] = triage.result
    urgencies = [u for u in (request.urgency, triage.disposition) if u is not None]
    codes = [department["code"] for department in said["departments"]]
    known: dict[str, object] = {"urgency": min(urgencies, default=None)}
    if not request.asked:
        known["departments"] = tuple(codes[:TRIAGE_DEPARTMENTS])
    if request.age_years is None:
        known["age_years"] = told.get("age_years")
    if request.sex is None:
        known["sex"] = told.get("sex")
    return request.model_copy(update=known), triage.consult_id


def _local_time(services: Services, request: MatchRequest) -> datetime:
    now = services.db.clock.now()
    at = request.at or now
    if not now - LATE <= at <= now + FARTHEST:
        raise InvalidInput(errors=[FieldError("/at", f"now or up to {FARTHEST.days} days ahead")])
    return at.astimezone(ZoneInfo(services.settings.timezone))


def _need(request: MatchRequest, at: datetime) -> Need:
    return Need(
        choices=choices_of(request.asked),
        age_years=request.age_years,
        sex=request.sex,
        languages=frozenset(request.languages),
        subspecialties=frozenset(request.needs),
        seen_before=frozenset(request.seen_before),
        exclude=frozenset(request.exclude),
        at=at,
    )


def _emergency(urgency: int | None) -> Bilingual | None:
    if urgency is None or urgency > EMERGENCY_UP_TO:
        return None
    return fill(wording().summaries["emergency"], action=dispositions()[urgency].action)
