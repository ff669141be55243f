"""A proposed wording as it is read from its row, and where it stands beside what its card says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from knowledge_base.card_edits import Edit, passage_of
from knowledge_base.cards import Card
from knowledge_base.language import Language
from serving.storage.codes import ProposalState
from serving.storage.tables import ProposalRow


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("no control characters")
    return text


Printable = Annotated[str, Field(min_length=2, max_length=300), AfterValidator(_printable)]


class ProposedSource(BaseModel):
    """The published document that a proposal rests on."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    organisation: Printable
    title: Printable
    year: int = Field(ge=1950, le=2100)
    identifier: Printable


@dataclass(frozen=True)
class Proposal:
    """A proposed wording. `before` is the text that it was made on, `now` what the card says
    today, None where the passage is gone."""

    id: str
    passage: str
    language: Language
    before: str
    text: str
    now: str | None
    why: str
    source: ProposedSource | None
    state: ProposalState
    proposer_id: str
    proposer_name: str
    proposed_at: datetime
    decider_id: str | None
    decider_name: str | None
    decided_at: datetime | None
    comment: str | None

    @property
    def edit(self) -> Edit:
        """As a change of its card."""
        note = self.why
        if (s := self.source) is not None:
            note += f" ({s.organisation}: {s.title}, {s.year}, {s.identifier})"
        return Edit(self.passage, self.language, self.before, self.text, note)


def state_of(row: ProposalRow, cards: Mapping[str, Card]) -> ProposalState:
    """Where the proposal stands beside what its card says now."""
    now = _text_now(row, cards)
    if row.state is ProposalState.DECLINED or now == row.before:
        return row.state
    applied = row.state is ProposalState.ACCEPTED and now == row.text
    return ProposalState.APPLIED if applied else ProposalState.OUTDATED


def proposal_of(
    row: ProposalRow, proposer: str, decider: str | None, cards: Mapping[str, Card]
) -> Proposal:
    """A row with the names of who proposed and who decided."""
    return Proposal(
        id=row.id,
        passage=row.passage,
        language=_language(row.language),
        before=row.before,
        text=row.text,
        now=_text_now(row, cards),
        why=row.why,
        source=None if row.source is None else ProposedSource.model_validate(row.source),
        state=state_of(row, cards),
        proposer_id=row.proposer_id,
        proposer_name=proposer,
        proposed_at=row.proposed_at,
        decider_id=row.decider_id,
        decider_name=decider,
        decided_at=row.decided_at,
        comment=row.comment,
    )


def _text_now(row: ProposalRow, cards: Mapping[str, Card]) -> str | None:
    found = passage_of(cards, row.passage, _language(row.language))
    return None if found is None else found.text


def _language(code: str) -> Language:
    return "zh" if code == "zh" else "en"
