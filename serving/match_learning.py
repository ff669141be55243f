"""New weights from what became of matches: every accepted doctor among those who were proposed.

Always learned from the shipped weights and all outcomes, so that errors do not add up from one
version to the next. An older version is never changed; going back to it makes a new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict

from knowledge_base.matching.weights import FeatureName, weighting
from models.matching.learn import Choice, Learned, Shown, learn
from serving.storage import matches
from serving.storage.codes import RefusalReason
from serving.storage.database import Database
from serving.storage.matches import Settled

SAY_NOTHING = frozenset(
    {RefusalReason.DOCTOR_UNAVAILABLE, RefusalReason.NO_LONGER_NEEDED, RefusalReason.OTHER}
)
"""Refusals for reasons that have nothing to do with who suits better: such a doctor could not have
been accepted, and is left out of the choice."""


def choice_of(settled: Settled) -> tuple[str, Choice] | None:
    """A settled match as a choice within the accepted doctor's specialty; None without any."""
    shown = settled.result.shown
    accepted = next(c for c in shown if c.doctor == settled.accepted)
    rivals = [
        (place, candidate)
        for place, candidate in enumerate(shown)
        if (candidate.choice, candidate.specialty) == (accepted.choice, accepted.specialty)
        and settled.refused.get(candidate.doctor) not in SAY_NOTHING
    ]
    if len(rivals) < 2:
        return None
    return accepted.specialty, Choice(
        tuple(
            Shown(place, {part.feature: part.number for part in candidate.contributions})
            for place, candidate in rivals
        ),
        [candidate.doctor for _, candidate in rivals].index(settled.accepted),
    )


def learn_all(db: Database) -> dict[str, Learned]:
    """What the outcomes so far teach of every specialty. Writes nothing."""
    with db.read() as session:
        settled = matches.settled_matches(session)
    choices: dict[str, list[Choice]] = defaultdict(list)
    for one in settled:
        found = choice_of(one)
        if found is not None:
            choices[found[0]].append(found[1])
    return {
        code: learn(choices[code], specialty.weights)
        for code, specialty in weighting().specialties.items()
    }


def put_in_force(db: Database, learned: Mapping[str, Learned], *, actor: str) -> int | None:
    """A new version of the weights, where anything was learned; returns its number."""
    kept: dict[str, Mapping[FeatureName, float]] = {
        code: one.weights for code, one in learned.items() if one.kept
    }
    if not kept:
        return None
    return matches.add_weights(
        db,
        kept,
        base=weighting().version,
        report={code: asdict(one) for code, one in learned.items()},
        actor=actor,
    )


def go_back(db: Database, version: int, *, actor: str) -> int:
    """Put an older version's weights in force again as a new version; 0 are the shipped ones.

    Raises NotFound for a version that never was.
    """
    if version == 0:
        return matches.add_weights(
            db, {}, base=weighting().version, report={"copy_of": 0}, actor=actor
        )
    with db.read() as session:
        old = matches.weights_of(session, version)
    return matches.add_weights(
        db, old.learned, base=old.base, report={"copy_of": version}, actor=actor
    )
