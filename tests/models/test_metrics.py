"""Metrics against values worked out by hand or by scikit-learn's definitions."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics import (
    accuracy,
    auc,
    balanced_accuracy,
    bootstrap_interval,
    expected_calibration_error,
    macro_auc,
    macro_f1,
    quadratic_kappa,
    sensitivity_specificity,
    wilson_interval,
)


def test_auc_counts_pairs_and_ties_by_half() -> None:
    labels = np.array([0, 0, 1, 1])
    assert auc(labels, np.array([0.1, 0.4, 0.35, 0.8])) == pytest.approx(0.75)
    assert auc(labels, np.array([0.5, 0.5, 0.5, 0.5])) == pytest.approx(0.5)
    assert np.isnan(auc(np.ones(3, dtype=int), np.arange(3.0)))


def test_macro_auc_averages_classes_that_occur() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    assert macro_auc(np.array([0, 1, 1]), probabilities) == pytest.approx(1.0)


def test_a_score_at_the_threshold_is_positive() -> None:
    rates = sensitivity_specificity(np.array([1, 1, 0, 0]), np.array([0.5, 0.4, 0.5, 0.1]), 0.5)
    assert rates == (0.5, 0.5)


def test_accuracy_and_its_kin() -> None:
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    assert accuracy(labels, predicted) == 0.75
    assert balanced_accuracy(labels, predicted) == 0.5
    assert macro_f1(labels, predicted) == pytest.approx((6 / 7 + 0) / 2)


def test_quadratic_kappa_is_one_zero_and_below() -> None:
    grades = np.array([1, 2, 3, 4])
    assert quadratic_kappa(grades, grades) == pytest.approx(1.0)
    assert quadratic_kappa(grades, grades[::-1]) == pytest.approx(-1.0)
    # sklearn.metrics.cohen_kappa_score([1,2,3,4,5],[1,2,3,5,5], weights="quadratic")
    assert quadratic_kappa(np.array([1, 2, 3, 4, 5]), np.array([1, 2, 3, 5, 5])) == pytest.approx(
        0.9565217391304348
    )


def test_debiased_calibration_error_is_near_zero_for_honest_probabilities() -> None:
    rng = np.random.default_rng(0)
    claim = rng.uniform(0.5, 1.0, 2000)
    honest = (rng.random(2000) < claim).astype(int)
    assert expected_calibration_error(honest, claim) < 0.02
    assert expected_calibration_error(honest, claim, debiased=False) > 0.01
    assert expected_calibration_error(np.zeros(2000, int), claim) > 0.5


def test_bootstrap_resamples_whole_groups() -> None:
    values = np.repeat([0.0, 1.0], 50)
    free = bootstrap_interval(lambda r: float(values[r].mean()), 100, samples=300)
    grouped = bootstrap_interval(
        lambda r: float(values[r].mean()), 100, groups=np.repeat([0, 1], 50), samples=300
    )
    assert free.low > 0.3
    assert grouped == (0.0, 1.0)


def test_wilson_interval_of_a_perfect_score_does_not_reach_zero_width() -> None:
    low, high = wilson_interval(10, 10)
    assert low == pytest.approx(0.7225, abs=1e-3)
    assert high == pytest.approx(1.0)
