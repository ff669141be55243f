"""One network out of several that started from the same weights: the mean of their weights.

Networks fine-tuned from one start often lie in one basin, where the mean of the weights does what
the mean of the answers would, at the price of a single network (model soups, Wortsman et al., ICML
2022). The soup here is the paper's greedy one: networks join from the best to the worst, and one
that does not make the soup better on the held-out patients stays out. So it is never worse there
than the best network alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from rich.progress import track
from torch.nn.modules.batchnorm import _BatchNorm

from training.imaging import batches, launch, scoring
from training.imaging.config import ImagingConfig
from training.imaging.data import LabelledImages, working_copies
from training.imaging.net import SalientNet

Score = Callable[[SalientNet], float]
Refresh = Callable[[SalientNet], None]


def greedy(
    members: Sequence[SalientNet],
    score: Score,
    refresh: Refresh,
    report: Callable[[str], None] = print,
) -> SalientNet:
    """The soup of the members, in `eval()`.

    score: larger is better, on patients that no member learned from. refresh: puts the statistics
    of the normalisations right, which are those of no mean of weights.
    """
    scores = [score(member) for member in members]
    order = sorted(range(len(members)), key=lambda i: -scores[i])
    chosen, best, soup = [order[0]], scores[order[0]], members[order[0]]
    for i in order[1:]:
        tried = mean_of([members[j] for j in (*chosen, i)])
        refresh(tried)
        found = score(tried)
        report(f"soup of {[*chosen, i]}: held-out score {found:.4f}, without {i} {best:.4f}")
        if found > best:
            chosen, best, soup = [*chosen, i], found, tried
    return soup.eval()


@torch.no_grad()
def mean_of(members: Sequence[SalientNet]) -> SalientNet:
    """A network of the members' mean weights; whole numbers (counters) are the first one's."""
    soup = copy.deepcopy(members[0])
    states = [member.state_dict() for member in members]
    for name, value in soup.state_dict().items():
        if value.dtype.is_floating_point:
            value.copy_(torch.stack([state[name] for state in states]).mean(0))
    return soup


def refresher(config: ImagingConfig, train: LabelledImages) -> Refresh:
    """`refresh` for `greedy`: one epoch of augmented images of `train`, without learning."""
    images = working_copies(train.images, config.optimisation.working_size)
    rows = batches.drawn_rows(train.first, config, config.seed, 0)
    epoch = batches.Epoch(images, train.labels, train.context, rows, config, config.seed, 0)
    device = launch.device()

    @torch.no_grad()
    def refresh(net: SalientNet) -> None:
        net.to(device).train()
        # Frozen layers are never in training: theirs are what all members share.
        norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.training]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
        for inputs, _, _ in track(batches.loader(epoch), "soup", len(epoch)):
            with scoring.mixed(device, config.optimisation.precision):
                net(inputs.to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        net.to("cpu").eval()

    return refresh
