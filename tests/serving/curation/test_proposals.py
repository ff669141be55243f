"""Proposed wordings: one proposes, another decides, and what the card says now counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from knowledge_base.card_edits import passage_of
from knowledge_base.cards import Card, cards
from serving import audit, users
from serving.clock import FixedClock
from serving.curation import proposals
from serving.curation.proposal import Proposal, ProposedSource
from serving.errors import Conflict, Forbidden, IllegalMove, InvalidInput, NotFound
from serving.storage.codes import ProposalState, Role
from serving.storage.database import Database
from serving.users import User

pytest_plugins = ["tests.serving.storage.databases"]

ID = "chest-pain#ask:2"
NEW = "询问胸痛的伴随症状：出汗、恶心、黑矇。"
SOURCE = ProposedSource(
    organisation="ESC", title="ESC Guidelines", year=2023, identifier="doi:10.1/x"
)


def present(passage: str = ID) -> str:
    found = passage_of(cards(), passage, "zh")
    assert found is not None
    return found.text


def propose(db: Database, user: User, **more: object) -> Proposal:
    asked: dict[str, object] = {
        "passage": ID, "language": "zh", "text": NEW, "why": "黑矇常被漏问", "source": SOURCE,
    }  # fmt: skip
    return proposals.propose(db, cards(), user, **(asked | more))  # type: ignore[arg-type]


def rewritten(passage_id: str, text: str) -> Mapping[str, Card]:
    """The cards after somebody has edited a passage."""
    card = cards()["chest-pain"]
    passages = tuple(
        replace(p, text=text) if (p.id, p.language) == (passage_id, "zh") else p
        for p in card.passages
    )
    return {**cards(), "chest-pain": replace(card, passages=passages)}


def test_a_proposal_keeps_the_text_as_it_stood_who_and_when(
    db: Database, physician: User, clock: FixedClock
) -> None:
    made = propose(db, physician, text=f"  {NEW}\n")
    assert (made.before, made.text, made.now) == (present(), NEW, present())
    assert (made.proposer_name, made.proposed_at) == (physician.name, clock.now())
    assert (made.state, made.source) == (ProposalState.OPEN, SOURCE)
    assert proposals.get(db, cards(), made.id) == made
    assert propose(db, physician).id == made.id, "sent twice, it is one"


@pytest.mark.parametrize("accept", [True, False])
def test_another_physician_decides_once(
    db: Database, physician: User, colleague: User, accept: bool
) -> None:
    made = propose(db, physician)
    with pytest.raises(Forbidden):
        proposals.decide(db, cards(), made.id, physician, accept=accept)
    done = proposals.decide(db, cards(), made.id, colleague, accept=accept, comment=" 好 ")
    assert done.state is (ProposalState.ACCEPTED if accept else ProposalState.DECLINED)
    assert (done.decider_name, done.comment) == (colleague.name, "好")
    for again in (True, False):
        with pytest.raises(IllegalMove):
            proposals.decide(db, cards(), made.id, colleague, accept=again)


def test_only_those_who_sign_decide_and_patients_programmes_propose_nothing(
    db: Database, physician: User
) -> None:
    made = propose(db, physician)
    administrator = users.create(db, name="a", role=Role.ADMINISTRATOR).user
    with pytest.raises(Forbidden):
        proposals.decide(db, cards(), made.id, administrator, accept=True)
    patient = users.create(db, name="p", role=Role.PATIENT_APP).user
    with pytest.raises(Forbidden):
        propose(db, patient)
    users.disable(db, physician.id)
    with pytest.raises(Forbidden):
        propose(db, physician, text="别的说法。")


@pytest.mark.parametrize(
    "wrong",
    [
        {"passage": "chest-pain#ask:99"},
        {"passage": "shelf/a.pdf~00"},
        {"text": present()},
        {"text": " "},
        {"text": "长" * 1001},
        {"text": "口服硝酸甘油0.5 mg。"},
        {"text": "问部位。[s1]"},
        {"why": " "},
        {"why": "x" * 2001},
        {"why": "a\x00"},
    ],
)
def test_what_cannot_be_a_passage_is_refused(
    db: Database, physician: User, wrong: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        propose(db, physician, **wrong)
    assert refused.value.errors[0].pointer.removeprefix("/") in wrong
    assert proposals.every(db, cards()) == []


def test_a_proposal_is_outdated_when_its_passage_has_changed_since(
    db: Database, physician: User, colleague: User
) -> None:
    made = propose(db, physician)
    changed = rewritten(ID, "别人改过的文字。")
    seen = proposals.get(db, changed, made.id)
    assert (seen.state, seen.now) == (ProposalState.OUTDATED, "别人改过的文字。")
    with pytest.raises(IllegalMove):
        proposals.decide(db, changed, made.id, colleague, accept=True)
    without = {name: card for name, card in cards().items() if name != "chest-pain"}
    gone = proposals.get(db, without, made.id)
    assert (gone.state, gone.now) == (ProposalState.OUTDATED, None)


def test_an_accepted_one_is_applied_when_the_card_reads_so(
    db: Database, physician: User, colleague: User
) -> None:
    made = propose(db, physician)
    proposals.decide(db, cards(), made.id, colleague, accept=True)
    merged = rewritten(ID, NEW)
    assert proposals.get(db, merged, made.id).state is ProposalState.APPLIED
    assert proposals.every(db, merged, state=ProposalState.ACCEPTED) == []
    assert len(proposals.every(db, merged, state=ProposalState.APPLIED)) == 1


def test_of_one_passage_one_proposal_is_accepted_at_a_time(
    db: Database, physician: User, colleague: User
) -> None:
    first, second = propose(db, physician), propose(db, physician, text="问伴随症状。")
    proposals.decide(db, cards(), first.id, colleague, accept=True)
    with pytest.raises(Conflict):
        proposals.decide(db, cards(), second.id, colleague, accept=True)
    other = propose(db, physician, passage="chest-pain#ask:1")
    assert proposals.decide(db, cards(), other.id, colleague, accept=True).decider_id


def test_pages_are_newest_first_without_a_gap(
    db: Database, physician: User, clock: FixedClock
) -> None:
    made = []
    for number in range(5):
        clock.advance(1)
        made.append(propose(db, physician, text=f"说法{number}。").id)
    found: list[str] = []
    before, more = None, True
    while more:
        page, more = proposals.page(db, cards(), before=before, limit=2)
        found += [p.id for p in page]
        before = page[-1].id
    assert found == made[::-1]


def test_proposals_and_decisions_are_audited_without_their_words(
    db: Database, physician: User, colleague: User
) -> None:
    made = propose(db, physician)
    proposals.decide(db, cards(), made.id, colleague, accept=False, comment="不必")
    events = audit.list_events(db, subject=made.id)
    assert [(e.action, e.actor) for e in events] == [
        ("knowledge.declined", colleague.id),
        ("knowledge.proposed", physician.id),
    ]
    assert events[0].detail == {"card": "chest-pain", "passage": "ask:2", "language": "zh"}
    with pytest.raises(NotFound):
        proposals.decide(db, cards(), "prp_none", colleague, accept=True)
