"""The benchmarks' definitions against counts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eval import imaging
from eval.classes import class_scores, confusion, macro_f1_of
from eval.disposition import Answered, estimates
from eval.dispositions import UrgencyRow
from eval.estimates import precision_recall_f1, share
from models.imaging.questions import questions
from models.manifest import Conformal, Label, Manifest, TensorSpec
from models.triage.request import TriageRequest

LEVELS = {
    "critical": {1, 2},
    "urgent": {3},
    "routine": {4, 5},
    "em": {1, 2},
    "ne": {3, 4},
    "sc": {5},
}


def answered(truth: str, level: int) -> Answered:
    tiered = truth in ("critical", "urgent", "routine")
    row = UrgencyRow("1", TriageRequest(text="x"), truth, frozenset(LEVELS[truth]), tiered)
    return Answered(row, level)


def values(*answers: Answered) -> dict[str, float]:
    return {name: e.value for name, e in estimates(answers).items()}


def test_tiers_count_under_and_over_triage_and_escalation() -> None:
    found = values(
        answered("critical", 1),
        answered("critical", 3),
        answered("urgent", 2),
        answered("urgent", 3),
        answered("urgent", 4),
        answered("routine", 3),
        answered("routine", 5),
        answered("routine", 4),
    )
    assert found == {
        "accuracy": 4 / 8,
        "emergency_recall": 1 / 2,
        "emergency_missed": 1 / 2,
        "under_triage": 2 / 8,
        "over_triage": 2 / 8,
        "escalation_recall": 3 / 5,
        "escalation_specificity": 2 / 3,
    }


def test_em_ne_sc_have_no_escalation_pair() -> None:
    found = values(
        answered("em", 2),
        answered("em", 3),
        answered("ne", 4),
        answered("ne", 5),
        answered("sc", 4),
    )
    assert found == {
        "accuracy": 2 / 5,
        "emergency_recall": 1 / 2,
        "emergency_missed": 1 / 2,
        "under_triage": 2 / 5,
        "over_triage": 1 / 5,
    }


def test_a_share_of_nothing_is_nan_and_a_perfect_one_keeps_its_width() -> None:
    assert np.isnan(values(answered("sc", 5))["emergency_recall"])
    assert share([True] * 10).low == pytest.approx(0.7225, abs=1e-3)


def test_macro_f1_averages_the_named_classes() -> None:
    truth, answer = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0])
    assert macro_f1_of(truth, answer, [0, 1]) == pytest.approx((2 * 2 / 6 + 0) / 2)
    assert macro_f1_of(truth, answer, [0]) == pytest.approx(2 / 3)
    assert macro_f1_of(truth, answer, [0, 2]) == pytest.approx(2 / 3)


def test_class_scores_and_confusion_count_rows() -> None:
    truth, answer = ["a", "a", "b", "c"], ["a", "b", "b", "b"]
    first, second, third = class_scores(truth, answer, ["a", "b", "c"])
    assert (first.label, first.n, first.precision, first.recall) == ("a", 2, 1.0, 0.5)
    assert second.precision == pytest.approx(1 / 3)
    assert np.isnan(third.precision)
    assert third.f1 == 0.0
    assert confusion(truth, answer, ["a", "b", "c"], ["a", "b"]).counts == ((1, 1), (0, 1), (0, 1))


def test_precision_recall_f1_are_micro_over_units() -> None:
    found = precision_recall_f1(np.array([[2, 4, 3], [1, 1, 3]]), samples=50)
    assert found["precision"].value == pytest.approx(3 / 5)
    assert found["recall"].value == pytest.approx(3 / 6)
    assert found["f1"].value == pytest.approx(6 / 11)


def manifest(*codes: str, thresholds: dict[str, float]) -> Manifest:
    return Manifest(
        name="toy",
        version=1,
        task="imaging",
        title={"en": "toy", "zh": "样例"},
        inputs=[TensorSpec(name="image", dtype="float32", shape=[-1, 1, 8, 8])],
        outputs=[],
        labels=[Label(code=code, zh=code, en=code) for code in codes],
        thresholds=thresholds,
        conformal=Conformal(coverage=0.9, quantile=0.5),
        training_sets=[],
        files={},
    )


def test_two_classes_are_answered_at_the_shipped_threshold() -> None:
    positive = np.array([0.9, 0.35, 0.4, 0.2, 0.1])
    seen = imaging.View(
        (np.stack([1 - positive, positive], axis=1),), np.array([True, True, True, True, False])
    )
    truth = imaging.Truth({0: np.array([1, 1, 0, 0, 0])}, None, "label")
    toy = questions(manifest("normal", "ill", thresholds={"ill": 0.3}))
    found = {k: e.value for k, e in imaging.estimates(truth, seen, toy, samples=20).items()}
    assert found["auc"] == pytest.approx(5 / 6)
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["sensitivity"] == 1.0
    assert found["specificity"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx(5 / 6)
    assert found["answered"] == pytest.approx(4 / 5)
    # 1 - p(truth) <= 0.5: all but the second image, whose truth has 0.35.
    assert found["set_coverage"] == pytest.approx(4 / 5)


def test_many_classes_are_answered_by_the_most_probable() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.5, 0.4]])
    seen = imaging.View((p,), np.ones(3, dtype=bool))
    truth = imaging.Truth({0: np.array([0, 1, 2])}, None, "label")
    toy = questions(manifest("a", "b", "c", thresholds={"c": 0.35}))
    found = {k: e.value for k, e in imaging.estimates(truth, seen, toy, samples=20).items()}
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["auc"] == pytest.approx((1 + 0.75 + 1) / 3)
    assert (found["sensitivity"], found["specificity"]) == (1.0, 1.0)
