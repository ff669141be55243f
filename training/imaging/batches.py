"""What the network sees of an epoch: rows drawn, changed at random and made into inputs, by batch.

A batch depends on the seed, the epoch, its number and the process's rank alone. So it is the same
in whichever worker process it is made and however many there are, and a resumed run repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.imaging.preprocess import preprocess
from training.imaging import launch
from training.imaging.augment import Augmenter
from training.imaging.config import ImagingConfig
from training.imaging.transforms import MonaiAugmenter

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Batch = tuple[Tensor, Tensor, Tensor]
"""inputs [N, C, S, S], context [N, K], labels [N, heads]"""

# First word of each random stream's seed; numpy takes missing words for zeros, so none is zero.
_DRAWS, _CHANGES, _MIXING = 1, 2, 3
_CONTEXT_UNKNOWN = 0.4  # share of draws whose context is blanked: it may be unknown in use


def mixing(seed: int, epoch: int) -> np.random.Generator:
    """The stream of mixup in this process and epoch."""
    return np.random.default_rng([_MIXING, seed, epoch, launch.rank()])


@dataclass(frozen=True, eq=False)
class Epoch(Dataset[Batch]):
    """This process's share of every batch of one epoch.

    images: uint8 [M, H, W] or [M, H, W, 3], in which augmentation works; labels [M, heads] and
    context [M, K] belong to them; rows: those drawn for the epoch, in order.
    """

    images: Images
    labels: Labels
    context: Floats
    rows: Labels
    config: ImagingConfig
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.rows) // self.config.optimisation.batch_size

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`, the same whenever and wherever it is asked for."""
        size = self.config.optimisation.batch_size
        whole = self.rows[number * size : (number + 1) * size]
        batch = whole[launch.rank() :: launch.world()]
        rng = np.random.default_rng([_CHANGES, self.seed, self.epoch, launch.rank(), number])
        augment = self._augmenter(int(rng.integers(2**31)))
        spec = self.config.preprocessing
        inputs = np.stack([preprocess(image, spec) for image in augment(self.images[batch])])
        known = rng.random((len(batch), 1)) >= _CONTEXT_UNKNOWN
        context = self.context[batch] * known.astype(np.float32)
        return (
            torch.from_numpy(inputs),
            torch.from_numpy(context),
            torch.from_numpy(self.labels[batch]),
        )

    def _augmenter(self, seed: int) -> Augmenter | MonaiAugmenter:
        recipe = self.config.optimisation.augmentation
        if isinstance(recipe, float | int):
            return Augmenter(seed, float(recipe))
        return MonaiAugmenter(seed, recipe)


def loader(epoch: Epoch) -> DataLoader[Batch]:
    """The batches in order, made in `optimisation.workers` processes beside this one."""
    return DataLoader(
        epoch,
        batch_size=None,
        num_workers=epoch.config.optimisation.workers,
        pin_memory=torch.cuda.is_available(),
        # One of its own: the network's dropout must not depend on how batches are made.
        generator=torch.Generator(),
    )


def drawn_rows(labels: Labels, config: ImagingConfig, seed: int, epoch: int) -> Labels:
    """The rows of one epoch, the same in every process; labels [M] of the first head."""
    options = config.optimisation
    rng = np.random.default_rng([_DRAWS, seed, epoch])
    return drawn(labels, options.samples_per_epoch, options.balance, rng)


def drawn(labels: Labels, count: int, balance: float, rng: np.random.Generator) -> Labels:
    """`count` rows; a class of share s is drawn in proportion to s^(1 - balance), shuffled.

    Rows repeat only when their class runs out.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = (sizes / sizes.sum()) ** (1.0 - balance)
    needs = np.ceil(count * shares / shares.sum()).astype(int)
    out = []
    for c, need in zip(classes, needs, strict=True):
        members = np.flatnonzero(labels == c)
        rounds = -(-need // len(members))
        out.append(np.concatenate([rng.permutation(members) for _ in range(rounds)])[:need])
    return rng.permutation(np.concatenate(out))[:count].astype(np.int64)
