"""The fits behind the relevance model: linear machines, the encoder that learns with them, shares.

Nothing here reads or writes a file but the encoder's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from models.calibration import softmax
from training.text.calibrate import HeldOut, fit_temperature
from training.text.finetune import FitConfig, Ids, Pretrained, fit, outputs_of
from training.text.pair_linear import PairMachine, PairRows, fit_machine
from training.text.pair_reader import PairReader
from training.text.relevance_data import COLUMNS, Pair
from training.text.sparse import Floats

CLASSES = COLUMNS[-1].stop
_HIDDEN = -1e4
_SHARES = np.linspace(0.0, 1.0, 21)


def machines_of(rows: PairRows, pairs: Sequence[Pair], cost: float, seed: int) -> list[PairMachine]:
    """A machine per kind of pair, from the pairs of its kind."""
    kinds, labels = _kinds(pairs), np.array([pair.label for pair in pairs])
    found = []
    for kind, columns in enumerate(COLUMNS):
        own = np.flatnonzero(kinds == kind)
        size = columns.stop - columns.start
        found.append(fit_machine(rows.part(own), labels[own], size, cost, seed))
    return found


def scores_of(machines: Sequence[PairMachine], rows: PairRows) -> Floats:
    """Scores [N, CLASSES] of all machines, side by side."""
    return np.concatenate([machine.scores(rows) for machine in machines], axis=1)


def cross_fitted(
    rows: PairRows, pairs: Sequence[Pair], folds: int, cost: float, seed: int
) -> Floats:
    """Scores [N, CLASSES] from machines that saw no pair of the same group."""
    fold = np.array([pair.group % folds for pair in pairs])
    scores = np.zeros((len(pairs), CLASSES), dtype=np.float32)
    for number in range(folds):
        seen, out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(out):
            machines = machines_of(rows.part(seen), [pairs[i] for i in seen.tolist()], cost, seed)
            scores[out] = scores_of(machines, rows.part(out))
    return scores


def opinions(scores: Floats, pairs: Sequence[Pair], temperatures: Sequence[float]) -> Floats:
    """Probabilities [N, CLASSES] of each pair's own labels; 0 in the other kinds' columns."""
    found = np.zeros_like(scores)
    kinds = _kinds(pairs)
    for kind, columns in enumerate(COLUMNS):
        own = kinds == kind
        found[own, columns] = softmax(scores[own, columns], temperatures[kind])
    return found


def temperatures_of(scores: Floats, pairs: Sequence[Pair]) -> list[float]:
    """Per kind, the temperature of scores of pairs that were not learned from."""
    return [fit_temperature(held) for held in _by_kind(scores, pairs)]


def marked(pairs: Sequence[Pair]) -> Floats:
    """Labels as probabilities [N, CLASSES]."""
    columns = [COLUMNS[pair.kind].start + pair.label for pair in pairs]
    return np.eye(CLASSES, dtype=np.float32)[columns]


def fit_reader(
    pretrained: Pretrained, buckets: int, dropout: float, rows: Sequence[Ids],
    pairs: Sequence[Pair], targets: Floats, config: FitConfig, seed: int, progress: Progress,
) -> PairReader:  # fmt: skip
    """An encoder that learned `targets` [N, CLASSES] of pairs, given as rows of pieces."""
    reader = pretrained.reader()
    torch.manual_seed(seed)
    encoder = pretrained.encoder(dropout, buckets)
    net = PairReader(encoder, reader.stop, CLASSES, compared=True)
    hidden = np.full((len(COLUMNS), CLASSES), _HIDDEN, dtype=np.float32)
    for kind, columns in enumerate(COLUMNS):
        hidden[kind, columns] = 0.0
    others = torch.from_numpy(hidden[_kinds(pairs)])
    wanted = torch.from_numpy(targets)

    def loss(outputs: Tensor, numbers: NDArray[np.intp]) -> Tensor:
        told = nn.functional.log_softmax(outputs.float() + others[numbers], dim=1)
        return -(wanted[numbers] * told).sum(dim=1).mean()

    task = progress.add_task(f"encoder, {len(pairs)} pairs", total=1.0)
    return fit(net, encoder, rows, loss, config, reader.mask, seed, (progress, task))


def logits_of(net: nn.Module, rows: Sequence[Ids]) -> Floats:
    """Outputs [N, CLASSES] of a network."""
    return np.stack([found for (found,) in outputs_of(net, rows)])


def shares_of(linear: Floats, read: Floats, pairs: Sequence[Pair]) -> tuple[Floats, list[float]]:
    """How much each half says per kind, [2, CLASSES], and the temperatures that then fit.

    The least negative log-likelihood of the labels of pairs that neither half learned from.
    """
    shares = np.zeros((2, CLASSES), dtype=np.float32)
    temperatures = []
    halves = zip(_by_kind(linear, pairs), _by_kind(read, pairs), strict=True)
    for columns, (first, second) in zip(COLUMNS, halves, strict=True):
        tried = []
        for share in _SHARES:
            scores = (share * first.scores + (1 - share) * second.scores).astype(np.float32)
            held = HeldOut(scores, first.truth, first.matrix, 1.0)
            temperature = fit_temperature(held)
            told = softmax(scores, temperature)[np.arange(len(first.truth)), first.truth]
            tried.append((float(-np.log(told + 1e-9).mean()), float(share), temperature))
        _, share, temperature = min(tried)
        shares[0, columns], shares[1, columns] = share, 1 - share
        temperatures.append(temperature)
    return shares, temperatures


def _by_kind(scores: Floats, pairs: Sequence[Pair]) -> list[HeldOut]:
    kinds, labels = _kinds(pairs), np.array([pair.label for pair in pairs])
    return [
        HeldOut(
            scores[kinds == kind, columns], labels[kinds == kind],
            np.eye(columns.stop - columns.start), 1.0,
        )
        for kind, columns in enumerate(COLUMNS)
    ]  # fmt: skip


def _kinds(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    return np.array([pair.kind for pair in pairs], dtype=np.int64)
