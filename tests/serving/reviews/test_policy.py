"""The policy file is complete, and decides by its arguments alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from serving.clock import Ids, SystemClock
from serving.reviews.policy import POLICY_FILE, ReviewPolicy, ReviewRequest, Sample
from serving.storage.codes import DecisionKind, Reason

SHIPPED = ReviewPolicy.load()
LOADED_AGAIN = ReviewPolicy.load()
UNSAMPLED = SHIPPED.model_copy(update={"sample": Sample(rate=0, seed="x")})


def ask(
    *reasons: Reason, kind: DecisionKind = DecisionKind.TRIAGE, disposition: int | None = 4
) -> ReviewRequest | None:
    return UNSAMPLED.request(
        decision_id="dec_1", kind=kind, disposition=disposition, reasons=reasons
    )


@pytest.mark.parametrize("disposition", [3, 4, 5])
def test_plain_advice_is_not_queued(disposition: int) -> None:
    assert ask(disposition=disposition) is None


@pytest.mark.parametrize(("disposition", "minutes"), [(1, 10), (2, 15)])
def test_urgent_advice_is_always_queued(disposition: int, minutes: int) -> None:
    request = ask(disposition=disposition)
    assert request is not None
    assert request.reasons == (Reason.HIGH_URGENCY,)
    assert request.priority == disposition
    assert request.due_within == timedelta(minutes=minutes)


def test_imaging_is_always_queued() -> None:
    request = ask(kind=DecisionKind.IMAGING, disposition=None)
    assert request is not None
    assert request.reasons == (Reason.IMAGING,)
    assert request.due_within == timedelta(minutes=30)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_that_a_task_gives_is_queued(reason: Reason) -> None:
    request = ask(reason, disposition=5)
    assert request is not None
    assert request.reasons == (reason,)


def test_a_crisis_is_first_whatever_the_disposition() -> None:
    for disposition in (1, 3, 5, None):
        request = ask(Reason.CRISIS, disposition=disposition)
        assert request is not None
        assert request.priority == 1
        assert request.due_within == timedelta(minutes=5)


def test_the_most_urgent_row_counts() -> None:
    request = ask(Reason.LOW_CONFIDENCE, Reason.IMAGING, disposition=3)
    assert request == ReviewRequest(
        (Reason.IMAGING, Reason.LOW_CONFIDENCE), 3, timedelta(minutes=30)
    )


def test_a_sampled_decision_alone_waits_its_month_whatever_its_disposition() -> None:
    request = UNSAMPLED.level([Reason.RANDOM_SAMPLE], 3)
    assert request == ReviewRequest((Reason.RANDOM_SAMPLE,), 6, timedelta(days=30))


def test_the_sample_is_five_percent_of_decisions() -> None:
    ids = Ids(SystemClock())
    drawn = sum(SHIPPED.sample.draws(ids.new("dec")) for _ in range(20_000))
    assert 800 <= drawn <= 1200  # 1000 expected, 31 standard deviation


def test_the_sample_can_be_drawn_again_by_an_auditor() -> None:
    ids = [f"dec_{number}" for number in range(1000)]
    first, again = ([policy.sample.draws(i) for i in ids] for policy in (SHIPPED, LOADED_AGAIN))
    assert first == again
    other_seed = Sample(rate=SHIPPED.sample.rate, seed="another")
    assert first != [other_seed.draws(i) for i in ids]


def test_a_rate_of_one_draws_all_and_of_zero_none() -> None:
    ids = [f"dec_{number}" for number in range(500)]
    assert all(Sample(rate=1, seed="x").draws(i) for i in ids)
    assert not any(Sample(rate=0, seed="x").draws(i) for i in ids)


def test_less_urgent_dispositions_never_have_the_shorter_time() -> None:
    rows = [SHIPPED.dispositions[d] for d in range(1, 6)]
    assert [row.priority for row in rows] == sorted(row.priority for row in rows)
    assert [row.due_minutes for row in rows] == sorted(row.due_minutes for row in rows)


@pytest.mark.parametrize("missing", ["dispositions", "reasons"])
def test_a_policy_with_a_missing_row_is_refused(tmp_path: Path, missing: str) -> None:
    content = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    content[missing].pop(next(iter(content[missing])))
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValidationError):
        ReviewPolicy.load(path)


def test_high_urgency_cannot_be_set_below_the_emergency_levels(tmp_path: Path) -> None:
    content = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    content["high_urgency_up_to"] = 1
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValidationError):
        ReviewPolicy.load(path)
