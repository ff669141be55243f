"""What a network is asked to reach: soft targets per head, and a teacher's opinion where there is
one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.imaging.config import HeadConfig, ImagingConfig
from training.imaging.net import SalientNet


def targets(labels: Tensor, head: HeadConfig, smoothing: float) -> Tensor:
    """Soft targets [N, C] of labels [N]; a row of zeros where the label is not known (-1).

    An ordinal head spreads by distance, exp(-a |i - j|) (Diaz and Marathe, CVPR 2019), any other
    evenly.
    """
    count = len(head.labels)
    known = (labels >= 0).float()[:, None]
    if head.ordinal is not None:
        grades = torch.arange(count, device=labels.device)
        distance = (labels.clamp(min=0)[:, None] - grades[None]).abs().float()
        return functional.softmax(-head.ordinal * distance, dim=1) * known
    hard = functional.one_hot(labels.clamp(min=0), count).float()
    return (hard * (1 - smoothing) + smoothing / count) * known


def taught(
    teachers: Sequence[SalientNet], inputs: Tensor, context: Tensor, config: ImagingConfig
) -> list[Tensor] | None:
    """The teachers' mean probabilities [N, C] per head for the very images that the student sees,
    as they are and mirrored: what averaging over flips would give at test time goes into the
    student (Beyer et al., CVPR 2022, "A good teacher is patient and consistent").
    """
    if not teachers:
        return None
    beside = context if config.context else None
    heat = config.optimisation.distil_temperature
    found: list[Tensor] | None = None
    with torch.no_grad():
        for teacher in teachers:
            for seen in (inputs, inputs.flip(-1)):
                logits = teacher(seen, beside).logits
                p = [functional.softmax(z.float() / heat, dim=1) for z in logits]
                found = p if found is None else [a + b for a, b in zip(found, p, strict=True)]
    assert found is not None
    return [total / (2 * len(teachers)) for total in found]


def total(
    logits: Sequence[Tensor],
    wanted: Sequence[Tensor],
    taught_by: Sequence[Tensor] | None,
    config: ImagingConfig,
) -> Tensor:
    """Cross-entropy over the heads by weight; of a student, against its teachers instead."""
    loss = torch.zeros((), device=logits[0].device)
    heat = config.optimisation.distil_temperature
    for i, head in enumerate(config.heads):
        z = logits[i].float()
        if taught_by is None:
            part = -(wanted[i] * functional.log_softmax(z, dim=1)).sum(dim=1).mean()
        else:
            log_p = functional.log_softmax(z / heat, dim=1)
            part = -(taught_by[i] * log_p).sum(dim=1).mean() * heat**2
        loss = loss + head.loss_weight * part
    return loss


def log_loss(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of labels [N] under logits [N, C]."""
    z = np.asarray(logits, dtype=np.float64)
    top = z.max(axis=1, keepdims=True)
    norm = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0]
    return float(np.mean(norm - z[np.arange(len(z)), labels]))
