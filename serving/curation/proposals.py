"""Proposed wordings for the cards: one clinician proposes, another one decides.

What is accepted is a patch for the people who look after the cards: the service never edits its
own content. A proposal holds for the text that it was made on, so it is outdated when the passage
has changed since, and applied when the passage reads as it wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from knowledge_base.card_edits import FAULTS, fault, passage_of, tidy
from knowledge_base.cards import Card, Passage
from knowledge_base.language import Language
from serving import audit, users
from serving.curation.proposal import Proposal, ProposedSource, proposal_of, state_of
from serving.curation.words import words
from serving.errors import Conflict, FieldError, Forbidden, IllegalMove, InvalidInput, NotFound
from serving.storage.codes import ProposalState
from serving.storage.database import Database
from serving.storage.tables import ProposalRow, UserRow
from serving.users import Permission, User

PAGE_LIMIT = 100

_STORED_AS: Mapping[ProposalState, tuple[ProposalState, ...]] = {
    ProposalState.OPEN: (ProposalState.OPEN,),
    ProposalState.ACCEPTED: (ProposalState.ACCEPTED,),
    ProposalState.DECLINED: (ProposalState.DECLINED,),
    ProposalState.OUTDATED: (ProposalState.OPEN, ProposalState.ACCEPTED),
    ProposalState.APPLIED: (ProposalState.ACCEPTED,),
}
"""As what a proposal of each state lies in the table."""


def propose(
    db: Database,
    cards: Mapping[str, Card],
    user: User,
    *,
    passage: str,
    language: Language,
    text: str,
    why: str,
    source: ProposedSource | None = None,
) -> Proposal:
    """Record a proposal for the passage as it stands. Audited.

    The same open proposal of the same person is given back. Raises Forbidden, or InvalidInput for
    an unknown passage, a text that is no passage or changes nothing, or no reason.
    """
    found = _checked(cards, passage, language, tidy(text))
    reason = words(why, "/why")
    if reason is None:
        raise InvalidInput(errors=[FieldError("/why", "a proposal needs its reason")])
    with db.write() as session:
        proposer = users.require_now(session, user, Permission.KNOWLEDGE_PROPOSE)
        row = session.scalar(
            select(ProposalRow).where(
                ProposalRow.passage == passage,
                ProposalRow.language == language,
                ProposalRow.before == found.text,
                ProposalRow.text == tidy(text),
                ProposalRow.proposer_id == proposer.id,
                ProposalRow.state == ProposalState.OPEN,
            )
        )
        if row is None:
            row = ProposalRow(
                id=db.ids.new("prp"),
                passage=passage,
                language=language,
                before=found.text,
                text=tidy(text),
                why=reason,
                source=None if source is None else source.model_dump(),
                proposer_id=proposer.id,
                proposed_at=db.clock.now(),
                state=ProposalState.OPEN,
            )
            session.add(row)
            session.flush()
            _audit(session, row, "proposed", proposer.id, row.proposed_at)
        return _one(session, cards, row.id)


def decide(
    db: Database,
    cards: Mapping[str, Card],
    proposal_id: str,
    user: User,
    *,
    accept: bool,
    comment: str | None = None,
) -> Proposal:
    """Accept or decline an open proposal, for good. Audited.

    Raises Forbidden for a role that does not sign and for the proposer, NotFound, IllegalMove for
    one that is decided or outdated, Conflict where another one of the passage is accepted.
    """
    said = words(comment, "/comment")
    with db.write() as session:
        decider = users.require_now(session, user, Permission.REVIEW_SIGN)
        row = session.get(ProposalRow, proposal_id, with_for_update=True)
        if row is None:
            raise NotFound("no such proposal")
        if row.proposer_id == decider.id:
            raise Forbidden("somebody else than the proposer decides")
        state = state_of(row, cards)
        if state is not ProposalState.OPEN:
            raise IllegalMove(f"a proposal that is {state.value} cannot be decided")
        if accept and _has_accepted(session, cards, row):
            raise Conflict("another proposal for this passage is accepted")
        row.state = ProposalState.ACCEPTED if accept else ProposalState.DECLINED
        row.decider_id, row.decided_at, row.comment = decider.id, db.clock.now(), said
        session.flush()
        _audit(session, row, row.state.value, decider.id, row.decided_at)
        return _one(session, cards, row.id)


def get(db: Database, cards: Mapping[str, Card], proposal_id: str) -> Proposal:
    """A proposal by id. Raises NotFound."""
    with db.read() as session:
        return _one(session, cards, proposal_id)


def page(
    db: Database,
    cards: Mapping[str, Card],
    *,
    state: ProposalState | None = None,
    before: str | None = None,
    limit: int = PAGE_LIMIT,
) -> tuple[list[Proposal], bool]:
    """Proposals older than the id `before`, the newest first, and whether there are more."""
    with db.read() as session:
        found = list(islice(_matching(session, cards, state, before), limit + 1))
    return found[:limit], len(found) > limit


def every(
    db: Database, cards: Mapping[str, Card], *, state: ProposalState | None = None
) -> list[Proposal]:
    """All proposals, or those of a state, the newest first."""
    with db.read() as session:
        return list(_matching(session, cards, state, None))


def _matching(
    session: Session, cards: Mapping[str, Card], state: ProposalState | None, before: str | None
) -> Iterator[Proposal]:
    query = _select().order_by(ProposalRow.id.desc()).execution_options(yield_per=PAGE_LIMIT)
    if state is not None:
        query = query.where(ProposalRow.state.in_(_STORED_AS[state]))
    if before is not None:
        query = query.where(ProposalRow.id < before)
    for row, proposer, decider in session.execute(query):
        if state in (None, state_of(row, cards)):
            yield proposal_of(row, proposer, decider, cards)


def _checked(cards: Mapping[str, Card], passage: str, language: Language, text: str) -> Passage:
    """The passage that is meant. Raises InvalidInput."""
    found = passage_of(cards, passage, language)
    if found is None:
        raise InvalidInput(errors=[FieldError("/passage", "no card has a passage of this id")])
    if text == found.text:
        raise _refused("unchanged", "this is the present text")
    wrong = fault(text)
    if wrong is not None:
        raise _refused(wrong, FAULTS[wrong])
    return found


def _refused(code: str, sentence: str) -> InvalidInput:
    return InvalidInput(errors=[FieldError("/text", sentence)], extra={"fault": code})


def _has_accepted(session: Session, cards: Mapping[str, Card], row: ProposalRow) -> bool:
    others = session.scalars(
        select(ProposalRow).where(
            ProposalRow.passage == row.passage,
            ProposalRow.language == row.language,
            ProposalRow.state == ProposalState.ACCEPTED,
        )
    )
    return any(state_of(other, cards) is ProposalState.ACCEPTED for other in others)


def _select() -> Select[ProposalRow, str, str | None]:
    proposer, decider = aliased(UserRow), aliased(UserRow)
    return (
        select(ProposalRow, proposer.name, decider.name)
        .join(proposer, proposer.id == ProposalRow.proposer_id)
        .outerjoin(decider, decider.id == ProposalRow.decider_id)
    )


def _one(session: Session, cards: Mapping[str, Card], proposal_id: str) -> Proposal:
    found = session.execute(_select().where(ProposalRow.id == proposal_id)).first()
    if found is None:
        raise NotFound("no such proposal")
    row, proposer, decider = found
    return proposal_of(row, proposer, decider, cards)


def _audit(session: Session, row: ProposalRow, move: str, actor: str, at: datetime) -> None:
    card, _, place = row.passage.partition("#")
    audit.append(
        session,
        at=at,
        actor=actor,
        action=f"knowledge.{move}",
        subject=row.id,
        detail={"card": card, "passage": place, "language": row.language},
    )
