"""Ray's threads may be in each other's way while a model is put on the cluster."""

from __future__ import annotations

import pytest

ray_cluster = pytest.importorskip(
    "serving.engine.ray_cluster", reason="ray is not installed", exc_type=ImportError
)

pytestmark = pytest.mark.cluster


def failing(times: int, words: str) -> list[str]:
    return [words] * times


def act_on(faults: list[str]) -> str:
    def act() -> str:
        if faults:
            raise ValueError(faults.pop())
        return "deployed"

    answer: str = ray_cluster._undisturbed(act)
    return answer


def test_a_module_that_another_thread_took_out_is_tried_again() -> None:
    assert act_on(failing(3, "<module> is not registered for pickle by value")) == "deployed"


def test_anything_else_and_a_fault_that_stays_are_told() -> None:
    with pytest.raises(ValueError, match="something else"):
        act_on(failing(1, "something else"))
    with pytest.raises(ValueError, match="pickle by value"):
        act_on(failing(50, "not registered for pickle by value"))
