"""The relevance model: what its halves read of a pair, and a small training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from models.backends.onnx import OnnxBackend  # noqa: E402
from models.repository import ModelRepository  # noqa: E402
from models.tasks.base import run_alone  # noqa: E402
from models.tasks.relevance import KINDS, RelevanceRequest, RelevanceTask  # noqa: E402
from tests.training.text.conftest import config_of  # noqa: E402
from training.text import train_relevance  # noqa: E402
from training.text.encoder import Encoder, Shape  # noqa: E402
from training.text.pair_features import NUMBERS, PairFeatures  # noqa: E402
from training.text.pair_halves import PairHalves, PairLinear  # noqa: E402
from training.text.pair_linear import fit_machine, pair_rows  # noqa: E402
from training.text.pair_reader import PairReader  # noqa: E402
from training.text.relevance_data import COLUMNS, Pair, siblings, without  # noqa: E402
from training.text.relevance_fit import cross_fitted, opinions, shares_of  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = Shape(pieces=50, pairs=64, width=16, layers=1, heads=2, feed_forward=32, longest=40)
START, STOP, COMMA = 2, 3, 5
RARITY = torch.ones(50).index_fill(0, torch.tensor([0, 1, START, STOP, 4, COMMA]), 0.0)


def row(first: list[int], second: list[int]) -> np.ndarray:
    return np.array([START, *first, STOP, *second], dtype=np.int64)


def read(first: list[int], second: list[int]) -> tuple[list[int], list[float]]:
    ids, numbers = PairFeatures(RARITY, STOP, 997)(torch.from_numpy(row(first, second)[None]))
    return [int(i) for i in ids[0] if i], numbers[0].tolist()


def in_part(ids: list[int], part: int) -> list[int]:
    """The buckets of runs that both hold (0), the first alone (1) or the second alone (2)."""
    return sorted(i - 997 * part for i in ids if 997 * part < i <= 997 * (part + 1))


def random_rows(count: int) -> list[np.ndarray]:
    dice = np.random.default_rng(0)
    return [
        row(dice.integers(6, 30, size=int(dice.integers(2, 9))).tolist(),
            dice.integers(6, 30, size=int(dice.integers(2, 9))).tolist())
        for _ in range(count)
    ]  # fmt: skip


def test_runs_are_told_apart_by_the_texts_that_hold_them() -> None:
    ids, _ = read([10, 11, 12], [10, 11, 13])
    # Both: 10, 11, 10-11. Either alone: one piece, one run of two, one of three.
    assert [len(in_part(ids, part)) for part in range(3)] == [3, 3, 3]


def test_a_run_counts_once_and_punctuation_breaks_it() -> None:
    # 10, 10-10 and 10-10-10 of the first, 20 of the second.
    assert len(read([10, 10, 10], [20])[0]) == 4
    twice, once = read([10, COMMA, 10], [20])[0], read([10], [20])[0]
    assert sorted(twice) == sorted(once)


def test_numbers_tell_how_far_the_texts_overlap() -> None:
    same, none, part = (
        read([10, 11, 12], second)[1] for second in ([10, 11, 12], [20, 21], [10, 11, 13])
    )
    assert len(same) == NUMBERS
    assert same[0] == pytest.approx(1, abs=1e-3)
    assert none[0] == 0
    assert part[0] == pytest.approx(2 / 3, abs=1e-3)


def test_a_pair_turned_round_is_read_turned_round() -> None:
    ids, numbers = read([10, 11, 12], [10, 14])
    back, turned = read([10, 14], [10, 11, 12])
    assert in_part(ids, 1) == in_part(back, 2)
    assert in_part(ids, 0) == in_part(back, 0)
    assert (numbers[0], numbers[1]) == pytest.approx((turned[1], turned[0]))


def test_the_graph_scores_as_the_machine_does_and_padding_changes_nothing() -> None:
    rows, features = random_rows(200), PairFeatures(RARITY, STOP, 997)
    told = pair_rows(features, rows)
    labels = (told.numbers[:, 0] > 0.1).astype(np.int64)
    machines = [fit_machine(told, labels, 2, 0.3, 0), fit_machine(told, labels, 3, 0.3, 0)]
    net = PairLinear(features, machines)
    torch.manual_seed(0)
    halves = PairHalves(
        net, PairReader(Encoder(SHAPE), STOP, 5, compared=True).eval(),
        np.ones((2, 5), dtype=np.float32),
    ).eval()  # fmt: skip
    exact = np.concatenate([m.scores(told) for m in machines], axis=1)
    with torch.inference_mode():
        for number in range(20):
            alone = torch.from_numpy(rows[number][None])
            wider = torch.nn.functional.pad(alone, (0, 5))
            assert torch.allclose(halves(alone), halves(wider), atol=1e-5)
            # The table is stored in four bits: near, not the same.
            assert np.abs(net(alone)[0].numpy() - exact[number]).max() < 0.1
        lone = torch.tensor([[START, 10, 11]])
        assert torch.allclose(
            halves(lone), halves(torch.nn.functional.pad(lone, (0, 5))), atol=1e-5
        )


def pairs() -> list[Pair]:
    """Two texts of one piece each, by kind in turn; the label says whether both are even."""
    return [Pair(i % 3, f"f{i // 6}", f"s{i}", i % 2) for i in range(120)]


def test_pairs_without_a_label_are_new_and_of_one_group() -> None:
    known = pairs()
    queries = [pair for pair in known if pair.kind == 1]
    group = {pair.second: pair.first for pair in queries}
    more = [*queries, Pair(1, "f0", "s400", 0), Pair(1, "f0", "s401", 0)]
    group |= {"s400": "f0", "s401": "f0"}
    found = siblings(more, [Pair(1, "s401", "s400", -1)], 50, 0)
    assert found
    assert all(group[pair.first] == group[pair.second] for pair in found)
    assert ("s400", "s401") not in {(p.first, p.second) for p in found}
    assert len({pair.unordered for pair in found}) == len(found)


def test_a_pair_of_the_dev_part_is_left_out_turned_round_too() -> None:
    known = [Pair(1, "a", "b", 0), Pair(1, "a", "c", 0), Pair(0, "a", "b", 0)]
    assert without(known, [Pair(1, "b", "a", 2)]) == known[1:]


def test_scores_of_the_others_come_from_machines_that_never_saw_the_group() -> None:
    rows, known = random_rows(120), pairs()
    told = pair_rows(PairFeatures(RARITY, STOP, 997), rows)
    before = cross_fitted(told, known, 2, 0.3, 0)
    # Labels of one fold turned round change the scores of the other fold alone.
    turned = [
        Pair(p.kind, p.first, p.second, 1 - p.label) if p.group % 2 == 0 else p for p in known
    ]
    after = cross_fitted(told, turned, 2, 0.3, 0)
    moved = np.abs(after - before).max(axis=1) > 1e-6
    assert moved[[p.group % 2 == 1 for p in known]].any()
    assert not moved[[p.group % 2 == 0 for p in known]].any()


def test_an_opinion_is_about_the_labels_of_its_kind() -> None:
    known = pairs()
    told = opinions(np.zeros((120, 9), dtype=np.float32), known, [1.0, 1.0, 1.0])
    for pair, given in zip(known, told, strict=True):
        assert given[COLUMNS[pair.kind]].sum() == pytest.approx(1)
        assert given.sum() == pytest.approx(1)


def test_the_half_that_knows_says_all() -> None:
    known = pairs()
    dice = np.random.default_rng(0)
    noise = dice.normal(size=(120, 9)).astype(np.float32)
    right = noise * 0.1
    for number, pair in enumerate(known):
        right[number, COLUMNS[pair.kind].start + pair.label] += 2
    shares, temperatures = shares_of(right, noise, known)
    assert (shares[0] > 0.7).all()
    assert np.allclose(shares.sum(axis=0), 1)
    assert len(temperatures) == 3


@pytest.mark.data
@pytest.mark.slow
def test_a_small_run_ends_in_a_model_that_answers(
    base: Path, data_dir: Path, tmp_path: Path
) -> None:
    config = config_of("relevance.yaml", base, tmp_path)
    folder = tmp_path / "models" / "relevance" / "1"
    found = train_relevance.train(config, data_dir, folder, smoke=True, torch_program=True)
    # A majority vote reaches .5 on this set.
    assert found["cblue/CHIP-STS.dev"]["accuracy"] > 0.6
    entry = ModelRepository(tmp_path / "models", allow_noncommercial=True).get("relevance")
    assert entry.manifest.noncommercial
    assert entry.manifest.parity["torch_onnx_max_abs"] < 1e-3
    assert entry.manifest.parity["batch_invariance_max_abs"] < 1e-4
    task = RelevanceTask(entry.manifest, entry.folder)
    for kind in KINDS:
        answer = run_alone(
            task, OnnxBackend(entry.network), RelevanceRequest(kind, "头疼怎么办", "头疼吃什么药")
        )
        assert tuple(answer) == task.labels(kind)
        assert sum(answer.values()) == pytest.approx(1)
