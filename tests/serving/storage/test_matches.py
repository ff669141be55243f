"""Rosters in versions, places that never go below none, outcomes that happen once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime

import pytest

from models.matching.duty import parse_duty
from models.matching.match import match
from models.matching.profile import Doctor, Need
from models.matching.roster import Roster
from serving import audit, decisions, match_learning
from serving.errors import Conflict, IllegalMove, InvalidInput, NoCapacity, NotFound
from serving.storage import matches, roster
from serving.storage.codes import DecisionKind, MatchOutcome, RefusalReason
from serving.storage.database import Database
from serving.storage.matches import Report, Standing
from serving.storage.roster import Rosters

pytest_plugins = ["tests.serving.storage.databases"]

DAY = date(2026, 11, 23)
NEED = Need(choices=(frozenset({"surgical_oncology"}),), at=datetime(2026, 11, 23, 9), age_years=50)
DOCTORS = tuple(
    Doctor(
        code=f"D{n}",
        department="surgical_oncology",
        duty=parse_duty("always"),
        capacity=3,
        surgery_volume_3y=100.0 * n,
        response_minutes=10.0 * n,
    )
    for n in (1, 2, 3, 4)
)
ACCEPTED, REFUSED, CANCELLED = MatchOutcome.ACCEPTED, MatchOutcome.REFUSED, MatchOutcome.CANCELLED


@pytest.fixture
def rosters(db: Database) -> Rosters:
    """The four doctors, imported."""
    roster.import_doctors(db, DOCTORS, actor="usr_admin")
    return Rosters()


def propose(db: Database, doctors: tuple[Doctor, ...] = DOCTORS) -> str:
    """Record a match of the four doctors; returns its id."""
    result = match(Roster(doctors), NEED, {}).model_dump(mode="json")
    return decisions.record(
        db,
        kind=DecisionKind.MATCH,
        input={},
        result={**result, "day": DAY.isoformat()},
        models={"match_weights": "1.0"},
        rules_version="matching-1",
        disposition=None,
        review=None,
        actor="usr_app",
    ).id


@pytest.fixture
def say(db: Database, rosters: Rosters) -> Callable[..., Standing]:
    """Report an outcome of a match."""

    def report(
        match_id: str, doctor: str, outcome: MatchOutcome, reason: RefusalReason | None = None
    ) -> Standing:
        return matches.report(
            db, rosters, match_id, Report(doctor, outcome, reason), actor="usr_app"
        )

    return report


def taken(db: Database) -> dict[str, int]:
    with db.read() as session:
        return roster.taken_on(session, DAY)


def test_the_newest_roster_is_in_force_and_the_same_again_is_no_new_one(db: Database) -> None:
    rosters = Rosters()
    with db.read() as session:
        assert rosters.in_force(session).version == roster.NO_ROSTER
    assert roster.content(db) is None
    assert roster.import_doctors(db, DOCTORS, actor="usr_admin") == 1
    assert roster.import_doctors(db, DOCTORS, actor="usr_admin") == 1
    assert roster.import_doctors(db, DOCTORS[:2], actor="usr_admin") == 2
    with db.read() as session:
        stored = rosters.in_force(session)
    assert (stored.version, stored.roster.doctors) == (2, DOCTORS[:2])
    actions = [event.action for event in audit.list_events(db)]
    assert actions == ["roster.imported", "roster.imported"]


def test_accepting_takes_a_place_once_however_often_it_is_said(
    db: Database, say: Callable[..., Standing]
) -> None:
    match_id = propose(db)
    first = say(match_id, "D4", ACCEPTED)
    assert first == say(match_id, "D4", ACCEPTED) == Standing("D4", ACCEPTED, 2, None)
    assert taken(db) == {"D4": 1}
    events = [e.action for e in audit.list_events(db, subject=match_id)]
    assert events == ["match.accepted", "decision.recorded"]


def test_a_refusal_names_whom_to_ask_next(db: Database, say: Callable[..., Standing]) -> None:
    match_id = propose(db)
    shown = [c.doctor for c in match(Roster(DOCTORS), NEED, {}).shown]
    for refused, following in zip(shown, [*shown[1:], None], strict=True):
        said = say(match_id, refused, REFUSED, RefusalReason.DOCTOR_UNAVAILABLE)
        assert said.next_doctor == following
    assert taken(db) == {}


def test_one_doctor_of_a_match_is_accepted_and_a_cancelled_place_comes_back(
    db: Database, say: Callable[..., Standing]
) -> None:
    match_id = propose(db)
    say(match_id, "D4", ACCEPTED)
    with pytest.raises(Conflict):
        say(match_id, "D3", ACCEPTED)
    say(match_id, "D4", CANCELLED)
    assert taken(db) == {"D4": 0}
    say(match_id, "D3", ACCEPTED)
    assert taken(db) == {"D4": 0, "D3": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, CANCELLED),
        (ACCEPTED, REFUSED),
        (REFUSED, ACCEPTED),
        (REFUSED, CANCELLED),
        (CANCELLED, ACCEPTED),
        (CANCELLED, REFUSED),
    ],
)
def test_an_outcome_that_cannot_follow_is_refused(
    db: Database, say: Callable[..., Standing], before: MatchOutcome | None, after: MatchOutcome
) -> None:
    match_id = propose(db)
    steps = [ACCEPTED, CANCELLED] if before is CANCELLED else [before] if before else []
    for outcome in steps:
        say(match_id, "D4", outcome, RefusalReason.OTHER if outcome is REFUSED else None)
    counted = taken(db)
    with pytest.raises(IllegalMove):
        say(match_id, "D4", after, RefusalReason.OTHER if after is REFUSED else None)
    assert taken(db) == counted


def test_what_was_not_proposed_cannot_be_accepted(
    db: Database, say: Callable[..., Standing]
) -> None:
    with pytest.raises(NotFound):
        say("dec_none", "D4", ACCEPTED)
    with pytest.raises(NotFound):
        say(propose(db), "D9", ACCEPTED)


def test_a_refusal_has_a_reason_and_nothing_else_has(
    db: Database, say: Callable[..., Standing]
) -> None:
    match_id = propose(db)
    with pytest.raises(InvalidInput):
        say(match_id, "D4", REFUSED)
    with pytest.raises(InvalidInput):
        say(match_id, "D4", ACCEPTED, RefusalReason.OTHER)


def test_a_new_roster_keeps_the_places_that_were_promised(
    db: Database, say: Callable[..., Standing]
) -> None:
    for _ in range(2):
        say(propose(db), "D4", ACCEPTED)
    fewer = tuple(replace(d, capacity=2) for d in DOCTORS)
    roster.import_doctors(db, fewer, actor="usr_admin")
    with pytest.raises(NoCapacity):
        say(propose(db), "D4", ACCEPTED)
    roster.import_doctors(db, DOCTORS[:3], actor="usr_admin")
    with pytest.raises(NoCapacity):
        say(propose(db), "D4", ACCEPTED)
    assert taken(db) == {"D4": 2}


def test_of_twenty_who_race_for_three_places_three_get_one(
    db: Database, say: Callable[..., Standing]
) -> None:
    proposed = [propose(db) for _ in range(20)]
    start = threading.Barrier(8)

    def race(part: int) -> list[int]:
        start.wait()
        left = []
        for match_id in proposed[part::8]:
            try:
                left.append(say(match_id, "D4", ACCEPTED).free_places)
            except NoCapacity:
                continue
        return left

    with ThreadPoolExecutor(8) as pool:
        left = [free for part in pool.map(race, range(8)) for free in part]
    assert sorted(left) == [0, 1, 2]
    assert taken(db) == {"D4": 3}
    assert audit.verify(db).ok


def test_of_four_doctors_accepted_at_once_in_one_match_one_is(
    db: Database, say: Callable[..., Standing]
) -> None:
    match_id = propose(db)
    start = threading.Barrier(4)

    def race(doctor: Doctor) -> bool:
        start.wait()
        try:
            say(match_id, doctor.code, ACCEPTED)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(race, DOCTORS)) == 1
    assert sum(taken(db).values()) == 1


def test_weights_are_kept_in_versions_and_going_back_makes_a_new_one(db: Database) -> None:
    with db.read() as session:
        assert matches.weights_in_force(session) is None
    learned = {"oncology": {"rating": 1.0}}
    assert matches.add_weights(db, learned, base=1, report={}, actor="usr_admin") == 1  # type: ignore[arg-type]
    assert match_learning.go_back(db, 0, actor="usr_admin") == 2
    assert match_learning.go_back(db, 1, actor="usr_admin") == 3
    with db.read() as session:
        newest, first = matches.weights_in_force(session), matches.weights_of(session, 1)
    assert newest is not None
    assert (newest.version, newest.learned, first.learned) == (3, learned, learned)
    assert newest.report == {"copy_of": 1}
    with pytest.raises(NotFound):
        match_learning.go_back(db, 9, actor="usr_admin")


def test_only_reasons_that_compare_doctors_enter_the_choice(
    db: Database, say: Callable[..., Standing]
) -> None:
    match_id = propose(db)
    shown = [c.doctor for c in match(Roster(DOCTORS), NEED, {}).shown]
    say(match_id, shown[0], REFUSED, RefusalReason.DOCTOR_UNAVAILABLE)
    say(match_id, shown[1], REFUSED, RefusalReason.PATIENT_PREFERENCE)
    say(match_id, shown[2], ACCEPTED)
    say(propose(db), shown[0], REFUSED, RefusalReason.PATIENT_PREFERENCE)
    with db.read() as session:
        (settled,) = matches.settled_matches(session)
    found = match_learning.choice_of(settled)
    assert found is not None
    specialty, choice = found
    assert specialty == "oncology"
    assert [s.place for s in choice.shown] == [1, 2, 3]
    assert choice.shown[choice.accepted].place == 2


def test_outcomes_that_contradict_the_weights_teach_new_ones(
    db: Database, say: Callable[..., Standing]
) -> None:
    doctors = tuple(replace(d, capacity=1000) for d in DOCTORS)
    roster.import_doctors(db, doctors, actor="usr_admin")
    quickest = "D1"  # the fewest operations, the shortest response
    for number in range(120):
        say(propose(db), "D4" if number % 6 == 0 else quickest, ACCEPTED)
    learned = match_learning.learn_all(db)
    oncology = learned["oncology"]
    assert oncology.kept
    assert oncology.weights["response_minutes"] > 0.4 > oncology.weights["surgery_volume_3y"]
    assert not learned["surgery"].kept
    assert match_learning.put_in_force(db, learned, actor="usr_admin") == 1
    with db.read() as session:
        stored = matches.weights_in_force(session)
    assert stored is not None
    assert stored.learned == {"oncology": oncology.weights}
