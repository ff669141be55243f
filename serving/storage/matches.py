"""What became of matches, and the versions of the weights that were learned from it.

A match is a decision; here are its outcomes, one per proposed doctor, moved along a table of legal
moves. Accepting takes a place of the doctor's day in the same transaction; of two who race for
the last place one gets it, and of two doctors of one match one can be accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from knowledge_base.matching.weights import FeatureName
from models.matching.result import MatchResult
from serving import audit
from serving.errors import Conflict, FieldError, IllegalMove, InvalidInput, NoCapacity, NotFound
from serving.storage import roster
from serving.storage.canonical import Json
from serving.storage.codes import DecisionKind, MatchOutcome, RefusalReason
from serving.storage.database import Database
from serving.storage.tables import DecisionRow, MatchOutcomeRow, MatchWeightsRow

MOVES: Mapping[MatchOutcome | None, frozenset[MatchOutcome]] = {
    None: frozenset({MatchOutcome.ACCEPTED, MatchOutcome.REFUSED}),
    MatchOutcome.ACCEPTED: frozenset({MatchOutcome.CANCELLED}),
    MatchOutcome.REFUSED: frozenset(),
    MatchOutcome.CANCELLED: frozenset(),
}
"""What may follow what, for one doctor of one match. The same outcome again is no move."""


@dataclass(frozen=True)
class Report:
    """What somebody reports of a proposed doctor. Only a refusal has a reason, and must."""

    doctor: str
    outcome: MatchOutcome
    reason: RefusalReason | None = None

    def check(self) -> None:
        """Raise InvalidInput where the reason does not fit the outcome."""
        if (self.outcome is MatchOutcome.REFUSED) != (self.reason is not None):
            raise InvalidInput(errors=[FieldError("/reason", "a refusal has one, others none")])


@dataclass(frozen=True)
class Standing:
    """A match after a report: the doctor's places left, and whom to ask next (or None)."""

    doctor: str
    outcome: MatchOutcome
    free_places: int
    next_doctor: str | None


def report(
    db: Database, rosters: roster.Rosters, match_id: str, given: Report, *, actor: str
) -> Standing:
    """Record an outcome. The same again has no second effect. Audited.

    Raises NotFound for an unknown match or a doctor whom it did not propose, IllegalMove for
    an outcome that cannot follow, Conflict where another doctor is accepted or the roster has
    lost this one, NoCapacity where the day is full.
    """
    given.check()
    with db.write() as session:
        # The lock makes outcomes of one match take turns.
        match = session.get(DecisionRow, match_id, with_for_update=True)
        if match is None or match.kind is not DecisionKind.MATCH:
            raise NotFound("no such match")
        day = date.fromisoformat(str(match.result["day"]))
        shown = [c.doctor for c in MatchResult.model_validate(match.result).shown]
        if given.doctor not in shown:
            raise NotFound("the match did not propose this doctor")
        rows = {row.doctor: row for row in _rows(session, match_id)}
        doctor = rosters.in_force(session).roster.by_code.get(given.doctor)
        capacity = doctor.capacity if doctor is not None else 0
        before = rows.get(given.doctor)
        if before is None or before.outcome is not given.outcome:
            _move(session, db, match_id, day, capacity, given, rows)
            audit.append(
                session,
                at=db.clock.now(),
                actor=actor,
                action=f"match.{given.outcome.value}",
                subject=match_id,
                detail={
                    "doctor": given.doctor,
                    "reason": given.reason.value if given.reason else None,
                },
            )
        outcomes = {row.doctor: row.outcome for row in _rows(session, match_id)}
        settled = MatchOutcome.ACCEPTED in outcomes.values()
        return Standing(
            given.doctor,
            given.outcome,
            max(0, capacity - roster.taken_on(session, day).get(given.doctor, 0)),
            None if settled else next((code for code in shown if code not in outcomes), None),
        )


def _move(
    session: Session,
    db: Database,
    match_id: str,
    day: date,
    capacity: int,
    given: Report,
    rows: Mapping[str, MatchOutcomeRow],
) -> None:
    row = rows.get(given.doctor)
    if given.outcome not in MOVES[row.outcome if row is not None else None]:
        raise IllegalMove("this outcome cannot follow the one before")
    if given.outcome is MatchOutcome.ACCEPTED:
        if any(other.outcome is MatchOutcome.ACCEPTED for other in rows.values()):
            raise Conflict("another doctor of this match is accepted")
        if not roster.take_place(session, given.doctor, day, capacity):
            raise NoCapacity("no place is left on that day")
    if row is None:
        row = MatchOutcomeRow(decision_id=match_id, doctor=given.doctor)
        session.add(row)
    elif row.outcome is MatchOutcome.ACCEPTED:
        roster.give_back_place(session, given.doctor, day)
    row.outcome, row.reason, row.at = given.outcome, given.reason, db.clock.now()
    session.flush()


def _rows(session: Session, match_id: str) -> list[MatchOutcomeRow]:
    query = select(MatchOutcomeRow).where(MatchOutcomeRow.decision_id == match_id)
    return list(session.scalars(query))


_LEARNED = TypeAdapter(dict[str, dict[FeatureName, float]])


@dataclass(frozen=True)
class StoredWeights:
    """A version of the weights: `learned` by specialty, over version `base` of weights.yaml."""

    version: int
    base: int
    learned: Mapping[str, Mapping[FeatureName, float]]
    report: Mapping[str, Json]


def weights_in_force(session: Session) -> StoredWeights | None:
    """The newest version; None where the shipped weights are in force."""
    row = session.scalar(select(MatchWeightsRow).order_by(MatchWeightsRow.version.desc()).limit(1))
    return None if row is None else _weights(row)


def weights_of(session: Session, version: int) -> StoredWeights:
    """A version of the weights. Raises NotFound."""
    row = session.get(MatchWeightsRow, version)
    if row is None:
        raise NotFound("no such version of the weights")
    return _weights(row)


def add_weights(
    db: Database,
    learned: Mapping[str, Mapping[FeatureName, float]],
    *,
    base: int,
    report: Mapping[str, Json],
    actor: str,
) -> int:
    """Put weights in force as the newest version; returns its number. Audited."""
    at = db.clock.now()
    with db.write() as session:
        newest = weights_in_force(session)
        version = 1 if newest is None else newest.version + 1
        session.add(
            MatchWeightsRow(
                version=version,
                created_at=at,
                base_version=base,
                weights={code: dict(weights) for code, weights in learned.items()},
                report=dict(report),
            )
        )
        session.flush()
        audit.append(
            session,
            at=at,
            actor=actor,
            action="match_weights.changed",
            subject=f"match_weights_{version}",
            detail={"specialties": sorted(learned), "base": base},
        )
        return version


@dataclass(frozen=True)
class Settled:
    """A match in which a doctor was accepted, and the reasons for which others were refused."""

    result: MatchResult
    accepted: str
    refused: Mapping[str, RefusalReason]


def settled_matches(session: Session) -> list[Settled]:
    """Every match in which a doctor is accepted, oldest first."""
    accepted = (
        select(MatchOutcomeRow.decision_id)
        .where(MatchOutcomeRow.outcome == MatchOutcome.ACCEPTED)
        .scalar_subquery()
    )
    query = (
        select(DecisionRow.id, DecisionRow.result, MatchOutcomeRow)
        .join(MatchOutcomeRow, MatchOutcomeRow.decision_id == DecisionRow.id)
        .where(DecisionRow.id.in_(accepted))
        .order_by(DecisionRow.created_at, DecisionRow.id, MatchOutcomeRow.doctor)
    )
    return [
        _settled([(result, row) for _, result, row in group])
        for _, group in groupby(session.execute(query), key=lambda found: found[0])
    ]


def _settled(found: list[tuple[Mapping[str, Json], MatchOutcomeRow]]) -> Settled:
    rows = [row for _, row in found]
    return Settled(
        MatchResult.model_validate(found[0][0]),
        next(row.doctor for row in rows if row.outcome is MatchOutcome.ACCEPTED),
        {row.doctor: row.reason for row in rows if row.reason is not None},
    )


def _weights(row: MatchWeightsRow) -> StoredWeights:
    return StoredWeights(
        row.version, row.base_version, _LEARNED.validate_python(row.weights), row.report
    )
