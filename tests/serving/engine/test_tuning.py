"""The shape of a model follows what was measured of it, and is measured once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.backends import Tensor, Tensors
from models.backends.synthetic import entry_of
from serving.engine.tuning import Shape, Speed, Tuned, speed, tune

MANIFEST = entry_of("echo").manifest


class Costing:
    """A network whose batches take what a formula says, on a clock of its own."""

    now = 0.0

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds = seconds
        self.closed = False

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        Costing.now += self.seconds(len(inputs["x"]))
        return {"y": np.asarray(inputs["x"])}

    def close(self) -> None:
        self.closed = True


def measured(seconds: Callable[[int], float], most: int = 16) -> Speed:
    return speed(Costing(seconds), MANIFEST, most, clock=lambda: Costing.now)


def test_where_a_call_costs_more_than_its_rows_the_largest_batch_is_best() -> None:
    found = measured(lambda n: 0.005 + 0.0005 * n)
    assert found.batch == 16
    assert found.rate == pytest.approx(16 / 0.013)


def test_where_rows_cost_everything_nobody_waits_for_company() -> None:
    assert measured(lambda n: 0.0001 + 0.01 * n).batch == 1


def test_a_bound_that_is_no_power_of_two_is_reached_too() -> None:
    assert measured(lambda n: 0.01 + 1e-6 * n, most=12).batch == 12


def test_a_slow_network_is_not_measured_at_length() -> None:
    network = Costing(lambda n: 0.2 * n)
    Costing.now = 0.0
    assert speed(network, MANIFEST, 64, clock=lambda: Costing.now).batch == 1
    assert Costing.now < 1.0


@pytest.mark.parametrize(
    ("whole", "single", "shape"),
    [
        (0.004, 0.005, Shape(4, 1, 1)),  # barely faster on four cores: a copy for each
        (0.002, 0.0075, Shape(1, 4, 1)),  # nearly four times as fast: all cores for one
    ],
)
def test_a_network_that_does_not_use_its_cores_gets_a_copy_for_each(
    whole: float, single: float, shape: Shape
) -> None:
    opened: dict[int, Costing] = {}

    def open_with(threads: int) -> Costing:
        row = whole if threads == 4 else single
        return opened.setdefault(threads, Costing(lambda n: row * n))

    assert tune(open_with, MANIFEST, cores=4, most=16, clock=lambda: Costing.now) == shape
    assert all(network.closed for network in opened.values())


def test_a_machine_of_many_cores_does_not_get_a_copy_for_each() -> None:
    shape = tune(
        lambda _threads: Costing(lambda n: 0.001 * n),
        MANIFEST,
        cores=64,
        most=4,
        clock=lambda: Costing.now,
    )
    assert shape == Shape(8, 1, 1)


def test_a_shape_is_measured_once_and_again_when_anything_of_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "var" / "tuning.json"
    calls = []

    def measure() -> Shape:
        calls.append(1)
        return Shape(2, 1, 4)

    for _ in range(2):
        assert Tuned(path).shape("a@1 2 cores", measure) == Shape(2, 1, 4)
    assert len(calls) == 1
    Tuned(path).shape("a@2 2 cores", measure)
    assert len(calls) == 2
    assert len(json.loads(path.read_text())) == 2


@pytest.mark.parametrize("junk", ["", "[]", '{"a": 3}', '{"a": {"workers": 1}}', "\x00"])
def test_a_damaged_file_is_measured_over(tmp_path: Path, junk: str) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(junk)
    assert Tuned(path).shape("a", lambda: Shape(1, 2, 8)) == Shape(1, 2, 8)
    assert json.loads(path.read_text())["a"] == {"workers": 1, "threads": 2, "max_batch": 8}
