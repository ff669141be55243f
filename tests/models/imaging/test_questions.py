"""How an imaging network's numbers are read: points over groups, weighted answers, sets."""

from __future__ import annotations

import numpy as np
import pytest

from models.imaging.questions import questions
from models.manifest import Calibration, Conformal, Head, Label, LabelGroup, Manifest


def label(code: str) -> Label:
    return Label(code=code, zh=code, en=code)


def manifest(**changes: object) -> Manifest:
    first = {
        "name": "grades",
        "version": 1,
        "task": "imaging",
        "title": {"zh": "分级", "en": "grades"},
        "inputs": [],
        "outputs": [],
        "labels": [label("0"), label("1"), label("2")],
        "groups": [LabelGroup(code="referable", zh="转诊", en="referable", labels=["1", "2"])],
        "thresholds": {"referable": 0.5},
        "calibration": Calibration(temperature=2.0),
        "conformal": Conformal(coverage=0.9, quantile=0.6),
        "training_sets": [],
        "files": {},
    }
    return Manifest.model_validate(first | changes)


def test_a_group_is_positive_when_its_probabilities_together_reach_the_threshold() -> None:
    point = questions(manifest())[0].point
    assert point is not None
    p = np.array([[0.45, 0.3, 0.25], [0.55, 0.25, 0.2]])
    np.testing.assert_allclose(point.score(p), [0.55, 0.45])
    assert point.positive(p).tolist() == [True, False]


def test_probabilities_are_those_of_the_heads_own_tensor_and_temperature() -> None:
    head = Head(
        code="risk", zh="风险", en="risk", output="logits_risk", labels=[label("0"), label("1")],
        calibration=Calibration(temperature=0.5),
    )  # fmt: skip
    first, second = questions(manifest(heads=[head]))
    outputs = {
        "logits": np.array([[0.0, 2.0, 0.0]], dtype=np.float32),
        "logits_risk": np.array([[0.0, 1.0]], dtype=np.float32),
    }
    assert first.probabilities(outputs)[0, 1] == pytest.approx(np.e / (np.e + 2))
    assert second.probabilities(outputs)[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))


def test_a_rare_label_answers_when_its_probability_is_large_for_its_share() -> None:
    p = np.array([[0.7, 0.2, 0.1]])
    assert questions(manifest())[0].answers(p).tolist() == [0]
    weighted = questions(manifest(answer_weights=[0.4, 1.0, 8.0]))[0]
    assert weighted.answers(p).tolist() == [2]


def test_of_two_labels_the_threshold_decides() -> None:
    two = manifest(labels=[label("no"), label("yes")], groups=[], thresholds={"yes": 0.2})
    assert questions(two)[0].answers(np.array([[0.75, 0.25], [0.85, 0.15]])).tolist() == [1, 0]


def test_a_set_holds_every_label_that_is_probable_enough() -> None:
    p = np.array([[0.5, 0.45, 0.05], [0.34, 0.33, 0.33]])
    sets = questions(manifest())[0].sets(p)
    assert sets.tolist() == [[True, True, False], [False, False, False]]
    assert questions(manifest(conformal=None))[0].sets(p).all()
