"""Learning finds the weights that people go by, and leaves them alone where it cannot tell."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from knowledge_base.matching.weights import FeatureName
from models.matching.learn import MINIMUM_CHOICES, Choice, Shown, learn

PRIOR: dict[FeatureName, float] = {
    "surgery_volume_3y": 0.4,
    "rating": 0.3,
    "response_minutes": 0.3,
}
TRUE: dict[FeatureName, float] = {
    "surgery_volume_3y": 0.2,
    "rating": 0.2,
    "response_minutes": 0.6,
}
SHARPNESS = 8.0
NO_BIAS = (0.0, 0.0, 0.0, 0.0)
BIAS = (0.0, 0.5, 0.8, 1.0)


def simulate(
    count: int, weights: dict[FeatureName, float], bias: Sequence[float], seed: int
) -> list[Choice]:
    """Choices of people with these weights, among the best four of twelve by the prior's order."""
    draw = random.Random(seed)

    def score(numbers: dict[FeatureName, float], by: dict[FeatureName, float]) -> float:
        return sum(by[name] * number for name, number in numbers.items())

    choices = []
    for _ in range(count):
        twelve = [{name: draw.random() for name in PRIOR} for _ in range(12)]
        slate = sorted(twelve, key=lambda numbers: -score(numbers, PRIOR))[:4]
        odds = [
            math.exp(SHARPNESS * score(n, weights) - b) for n, b in zip(slate, bias, strict=True)
        ]
        accepted = draw.choices(range(4), odds)[0]
        choices.append(Choice(tuple(Shown(i, n) for i, n in enumerate(slate)), accepted))
    return choices


@pytest.mark.parametrize("bias", [NO_BIAS, BIAS], ids=["no position bias", "position bias"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_known_weights_are_recovered_within_006(bias: Sequence[float], seed: int) -> None:
    learned = learn(simulate(3000, TRUE, bias, seed), PRIOR)
    assert learned.kept
    for name, weight in TRUE.items():
        assert learned.weights[name] == pytest.approx(weight, abs=0.06)
    assert learned.loss_learned is not None
    assert learned.loss_prior is not None
    assert learned.loss_learned < learned.loss_prior - 0.05


def test_position_bias_is_taken_up_by_the_place_and_not_by_the_weights() -> None:
    learned = learn(simulate(3000, TRUE, BIAS, 4), PRIOR)
    assert learned.place_bias == tuple(sorted(learned.place_bias))
    assert learned.place_bias[-1] == pytest.approx(BIAS[-1], abs=0.3)


def test_people_who_agree_with_the_prior_hardly_move_it() -> None:
    for seed in range(5):
        learned = learn(simulate(400, PRIOR, BIAS, seed), PRIOR)
        for name, weight in PRIOR.items():
            assert learned.weights[name] == pytest.approx(weight, abs=0.1)


def test_choices_at_random_change_nothing_much_and_never_break_the_weights() -> None:
    draw = random.Random(5)
    noise = [Choice(c.shown, draw.randrange(4)) for c in simulate(300, TRUE, NO_BIAS, 5)]
    learned = learn(noise, PRIOR)
    assert sum(learned.weights.values()) == pytest.approx(1)
    assert min(learned.weights.values()) >= 0


def test_too_few_choices_change_nothing() -> None:
    learned = learn(simulate(MINIMUM_CHOICES - 1, TRUE, NO_BIAS, 6), PRIOR)
    assert (learned.kept, learned.weights) == (False, PRIOR)
    assert learned.loss_learned is None


def test_the_same_choices_teach_the_same() -> None:
    choices = simulate(500, TRUE, BIAS, 7)
    assert learn(choices, PRIOR) == learn(choices, PRIOR)


def test_the_more_choices_the_farther_from_the_prior() -> None:
    choices = simulate(2000, TRUE, NO_BIAS, 8)
    few, many = learn(choices[:150], PRIOR), learn(choices, PRIOR)
    assert PRIOR["response_minutes"] < few.weights["response_minutes"]
    assert few.weights["response_minutes"] < many.weights["response_minutes"] + 0.02


def test_a_feature_that_repels_gets_no_weight_and_a_missing_one_none_at_all() -> None:
    repelled: dict[FeatureName, float] = {
        "surgery_volume_3y": -0.5,
        "rating": 0.6,
        "response_minutes": 0.4,
    }
    learned = learn(simulate(1500, repelled, NO_BIAS, 9), PRIOR)
    assert learned.weights["surgery_volume_3y"] < 0.03
    assert learned.weights.keys() == PRIOR.keys()


def test_choices_that_are_perfectly_predictable_end_in_finite_weights() -> None:
    certain = [
        Choice(c.shown, max(range(4), key=lambda i, c=c: c.shown[i].numbers["rating"]))  # type: ignore[misc]
        for c in simulate(300, TRUE, NO_BIAS, 10)
    ]
    learned = learn(certain, PRIOR)
    assert learned.weights["rating"] > 0.7
    assert sum(learned.weights.values()) == pytest.approx(1)
