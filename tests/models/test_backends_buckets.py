"""The few shapes that a network runs at on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from models.backends.buckets import Bucket, Buckets, pad_into, trim
from models.manifest import TensorSpec

PIECES = TensorSpec(name="pieces", dtype="int64", shape=[-1, -1])
NAMES = TensorSpec(name="names", dtype="int64", shape=[-1, -1])
IMAGE = TensorSpec(name="image", dtype="float32", shape=[-1, 3, 8, 8])


def ids(rows: int, length: int) -> np.ndarray:
    return np.ones((rows, length), dtype=np.int64)


@pytest.mark.parametrize(
    ("rows", "length", "bucket"),
    [(1, 1, (1, 16)), (3, 16, (4, 16)), (4, 17, (4, 40)), (12, 40, (12, 40)), (9, 5, (12, 16))],
)
def test_a_batch_runs_in_the_smallest_bucket_that_holds_it(
    rows: int, length: int, bucket: tuple[int, int]
) -> None:
    buckets = Buckets([PIECES], 12, [16, 40])
    assert buckets.of([ids(rows, length)]) == Bucket(*bucket)


def test_what_is_too_large_or_of_several_lengths_runs_as_it_is() -> None:
    buckets = Buckets([PIECES, NAMES], 8, [16, 32])
    assert buckets.of([ids(9, 5), ids(9, 5)]) is None
    assert buckets.of([ids(2, 33), ids(2, 33)]) is None
    assert buckets.of([ids(2, 5), ids(2, 6)]) is None
    assert buckets.of([ids(2, 6), ids(2, 6)]) == Bucket(2, 16)
    assert Buckets([PIECES], 8, []).of([ids(1, 5)]) is None


def test_pictures_have_buckets_of_rows_alone() -> None:
    buckets = Buckets([IMAGE], 5, [])
    assert list(buckets) == [(5, 0), (4, 0), (2, 0), (1, 0)]
    assert buckets.shapes(Bucket(4, 0)) == [(4, 3, 8, 8)]
    assert buckets.of([np.zeros((3, 3, 8, 8), dtype=np.float32)]) == Bucket(4, 0)


def test_padding_is_zeros_behind_a_row_and_copies_of_the_first_below() -> None:
    target = np.full((4, 5), 9)
    pad_into(target, np.array([[1, 2, 3], [4, 5, 6]]))
    assert target.tolist() == [[1, 2, 3, 0, 0], [4, 5, 6, 0, 0], [1, 2, 3, 0, 0], [1, 2, 3, 0, 0]]


def test_outputs_lose_what_was_padded() -> None:
    specs = [
        TensorSpec(name="tags", dtype="float32", shape=[-1, -1, 2]),
        TensorSpec(name="logits", dtype="float32", shape=[-1, 7]),
    ]
    found = trim(
        {"tags": np.zeros((4, 16, 2)), "logits": np.zeros((4, 7))}, specs, rows=3, length=5
    )
    assert found["tags"].shape == (3, 5, 2)
    assert found["logits"].shape == (3, 7)
