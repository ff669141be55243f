"""When a network in another precision says the same, and when it does not."""

from __future__ import annotations

import numpy as np
import pytest

from models.backends import Tensor, Tensors
from models.backends.onnx import OnnxBackend
from models.backends.parity import decisions, difference, measured
from models.manifest import PrecisionParity
from models.repository import ModelRepository

REPOSITORY = ModelRepository(allow_noncommercial=True)
URGENCY = REPOSITORY.get("urgency").manifest
RELEVANCE = REPOSITORY.get("relevance").manifest
CHEST = REPOSITORY.get("cxr_pneumonia")


class Moved:
    """The X-ray model with its logits moved by a little."""

    def __init__(self, by: float) -> None:
        self.by, self.backend = by, OnnxBackend(CHEST.network)

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """See `Backend.run`."""
        found = self.backend.run(inputs)
        moved = np.array([-self.by, self.by], dtype=np.float32)
        return found | {"logits": np.asarray(found["logits"] + moved)}

    def close(self) -> None:
        """See `Backend.close`."""
        self.backend.close()


def chest_rows(count: int) -> list[dict[str, Tensor]]:
    rng = np.random.default_rng(0)
    shape = (1, *CHEST.manifest.inputs[0].shape[1:])
    return [{"image": rng.normal(size=shape).astype(np.float32)} for _ in range(count)]


def compared(by: float) -> PrecisionParity:
    return measured(
        CHEST.manifest, OnnxBackend(CHEST.network), Moved(by), chest_rows(20),
        runtime="torch", precision="bf16", device="cpu",
    )  # fmt: skip


def test_the_same_network_holds() -> None:
    found = compared(0.0)
    assert (found.max_difference, found.decisions_changed, found.rows) == (0.0, 0, 20)
    assert found.holds


def test_numbers_that_move_too_far_do_not_hold_and_are_told() -> None:
    found = compared(-50.0)
    assert found.max_difference > 1
    assert found.decisions_changed > 0
    assert not found.holds


def test_a_small_difference_that_changes_one_answer_does_not_hold() -> None:
    one = PrecisionParity(
        runtime="torch", precision="fp16", device="cuda", max_difference=1e-3,
        decisions_changed=1, rows=500,
    )  # fmt: skip
    assert not one.holds
    assert one.model_copy(update={"decisions_changed": 0}).holds


def test_a_difference_is_relative_where_numbers_are_large() -> None:
    wanted = {"a": np.array([[200.0, 1.0]]), "b": np.array([[0.1]])}
    assert difference(wanted, {"a": np.array([[201.0, 1.0]]), "b": wanted["b"]}) == 1 / 200
    assert difference(wanted, {"a": wanted["a"], "b": np.array([[0.35]])}) == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="no number"):
        difference({"a": np.zeros((1, 2))}, {"a": np.array([[0.0, bad]])})


def test_the_learned_urgency_decides_by_every_threshold() -> None:
    threshold = URGENCY.thresholds["emergency"]
    odds = float(np.log(threshold / (1 - threshold)))
    below, above, same = (
        decisions(URGENCY, {"urgency": np.full((1, 5), odds + by)}) for by in (-0.01, 0.01, 0.02)
    )
    assert (below != above).all()
    assert (above == same).all()


def test_heads_side_by_side_decide_each_for_itself() -> None:
    first = len(RELEVANCE.heads[0].labels)
    logits = np.zeros((1, sum(len(head.labels) for head in RELEVANCE.heads)))
    logits[0, 0], changed = 9.0, logits.copy()
    changed[0, first + 1] = 1.0  # the best of the second head, far below the best of all
    one, other = (decisions(RELEVANCE, {"logits": values}) for values in (logits, changed))
    assert one.shape == (1, len(RELEVANCE.heads))
    assert (one != other).tolist() == [[False, True, False]]


def test_a_picture_that_became_strange_is_another_decision() -> None:
    outputs = OnnxBackend(CHEST.network).run(chest_rows(1)[0])
    assert CHEST.manifest.ood is not None
    mean = np.array([CHEST.manifest.ood.statistics["mean"]])
    usual = decisions(CHEST.manifest, outputs | {"features": mean})
    strange = decisions(CHEST.manifest, outputs | {"features": mean + 1e3})
    assert (usual != strange).sum() == 1
