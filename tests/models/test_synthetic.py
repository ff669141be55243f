"""Synthetic networks cost what they say, and nothing else passes for one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from models.backends.synthetic import Synthetic, entry_of


def test_a_sleeping_network_takes_its_base_and_so_much_for_each_row() -> None:
    network = Synthetic(entry_of("sleep:5+0.5n").manifest)
    x = np.ones((16, 2), dtype=np.float32)
    start = time.perf_counter()
    assert network.run({"x": x})["y"] is x
    assert 0.013 <= time.perf_counter() - start < 0.1


def test_an_echo_costs_nothing() -> None:
    assert entry_of("echo").manifest.preprocessing == {}
    assert entry_of("echo").identity == "echo@1"


@pytest.mark.parametrize("text", ["", "sleep", "sleep:5", "sleep:-1+1n", "sleep:1e9+1n", "rm -rf"])
def test_anything_else_is_no_synthetic_network(text: str) -> None:
    with pytest.raises(ValueError, match="echo, or like sleep"):
        entry_of(text)
