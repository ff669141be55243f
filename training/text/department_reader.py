"""The encoder's half of the department model: reads order and likeness where n-grams are unknown.

Two steps, as in the linear half: a base over all sources but the consults of all departments,
which are few, and a short adaptation that sees those too. So cross-validation over the few costs
a short adaptation per fold.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from models.text.ngrams import NgramFeaturiser
from models.text.two_readings import TwoReadings
from training.text.department_config import EncoderFit, EncoderStep
from training.text.department_data import Example
from training.text.finetune import Pretrained, fit, outputs_of
from training.text.linear import row_weights
from training.text.sparse import Floats, Rows
from training.text.text_reader import TextReader

_SMOOTHING = 0.05


class ReaderTrainer:
    """Fits readers on examples whose labels are numbers of departments."""

    def __init__(
        self, step: EncoderStep, featuriser: NgramFeaturiser, departments: int, seed: int
    ) -> None:
        self._step, self._departments, self._seed = step, departments, seed
        self._pretrained = Pretrained(Path(step.encoder))
        self.readings = TwoReadings(featuriser, self._pretrained.reader(), step.longest)

    def rows(self, examples: Sequence[Example]) -> list[NDArray[np.int64]]:
        """What the network reads of each example, as at serving time."""
        return [self.readings.pieces(e.text, e.concepts) for e in examples]

    def base(self, examples: Sequence[Example], labels: Rows, progress: Progress) -> TextReader:
        """Step 1."""
        torch.manual_seed(self._seed)
        net = TextReader(self._pretrained.encoder(self._step.dropout), self._departments)
        return self._fit(net, examples, labels, self._step.base, progress)

    def adapted(
        self, base: TextReader, examples: Sequence[Example], labels: Rows, progress: Progress
    ) -> TextReader:
        """Step 2, from a copy of the base."""
        return self._fit(copy.deepcopy(base), examples, labels, self._step.adapted, progress)

    def scores(self, net: TextReader, examples: Sequence[Example]) -> Floats:
        """Scores [N, C]."""
        return np.stack([found for (found,) in outputs_of(net, self.rows(examples))])

    def _fit(
        self, net: TextReader, examples: Sequence[Example], labels: Rows, step: EncoderFit,
        progress: Progress,
    ) -> TextReader:  # fmt: skip
        chosen = copies([e.source for e in examples], step.kept, self._seed)
        some, wanted = [examples[i] for i in chosen], labels[chosen]
        sources = np.array([e.source for e in some])
        weights = row_weights(wanted, sources, step.shares, step.class_balance) * len(some)
        right, weight = torch.from_numpy(wanted), torch.from_numpy(weights)

        def loss(outputs: Tensor, numbers: NDArray[np.intp]) -> Tensor:
            each = functional.cross_entropy(
                outputs.float(), right[numbers], label_smoothing=_SMOOTHING, reduction="none"
            )
            return (each * weight[numbers]).mean()

        task = progress.add_task("encoder", total=1.0)
        mask = self.readings.reader.mask
        rows = self.rows(some)
        return fit(net, net.encoder, rows, loss, step.fit, mask, self._seed, (progress, task))


def copies(sources: Sequence[str], kept: Mapping[str, float], seed: int) -> Rows:
    """Numbers of the rows that are learned from: each as often as its source's `kept`, the
    fraction drawn by lot."""
    wanted = np.array([kept[source] for source in sources])
    lot = np.random.default_rng(seed).random(len(wanted)) < wanted % 1
    return np.repeat(np.arange(len(wanted)), wanted.astype(np.int64) + lot)
