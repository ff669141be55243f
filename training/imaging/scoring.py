"""How good a network in training is on the held-out patients: what chooses its best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.calibration import softmax
from models.metrics import macro_auc
from training.imaging import losses
from training.imaging.calibrate import fit_scaling
from training.imaging.config import ImagingConfig
from training.imaging.data import LabelledImages

Floats = npt.NDArray[np.float32]
Precision = Literal["bf16", "fp32"]


def predict(
    net: nn.Module,
    inputs: Floats,
    context: Floats | None = None,
    *,
    precision: Precision = "fp32",
    batch_size: int = 128,
) -> list[Floats]:
    """Logits [N, C] of every head, as fp32 numbers, for preprocessed inputs [N, channels, S, S].

    precision: `fp32` is exact; `bf16` computes as training in mixed precision does, which moves a
    logit by about 0.01 and takes half the time on a CPU.
    """
    device = next(net.parameters()).device
    net.eval()
    out: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch_size):
            rows = slice(start, start + batch_size)
            batch = torch.from_numpy(inputs[rows]).to(device)
            beside = None if context is None else torch.from_numpy(context[rows]).to(device)
            with mixed(device, precision):
                logits = net(batch, beside).logits
            out.append(tuple(head.float().cpu() for head in logits))
    return [torch.cat(parts).numpy() for parts in zip(*out, strict=True)]


def mixed(device: torch.device, precision: Precision) -> torch.autocast:
    """Mixed precision for `bf16`, which has the range of fp32: gradients need no scaling."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def score(
    net: nn.Module, views: Mapping[str, Floats], held_out: LabelledImages, config: ImagingConfig
) -> dict[str, float]:
    """`score`, larger is better, and what it is made of.

    views: inputs [N, C, S, S] by name, `as_is` among them. The score is the log-loss of the first
    head after scaling over all views, negated: half the mean and half the worst view; less the
    weighted log-losses of the other heads. Scaling first, because calibration comes later anyway:
    what counts is the ranking. In the precision of training: the exact numbers are those of the
    exported network.
    """
    labels = held_out.first
    context = held_out.context if config.context else None
    precision = config.optimisation.precision
    by_view = {
        name: [h.astype(np.float64) for h in predict(net, inputs, context, precision=precision)]
        for name, inputs in views.items()
    }
    logits = {name: heads[0] for name, heads in by_view.items()}
    temperature, bias = fit_scaling(
        np.concatenate(list(logits.values())), np.tile(labels, len(logits))
    )
    found = {name: losses.log_loss((z + bias) / temperature, labels) for name, z in logits.items()}
    areas = {name: macro_auc(labels, softmax(z)) for name, z in logits.items()}
    answers = softmax((logits["as_is"] + bias) / temperature)
    worst = max(found.values())
    scores = {
        "score": -0.5 * (float(np.mean(list(found.values()))) + worst),
        "auc": areas["as_is"],
        "worst_auc": min(areas.values()),
        "worst_loss": worst,
        "accuracy": float(np.mean(answers.argmax(axis=1) == labels)),
    }
    for i, head in enumerate(config.heads[1:], start=1):
        other = held_out.labels[:, i]
        known = other >= 0
        right = by_view["as_is"][i].argmax(axis=1) == other
        scores[f"accuracy_{head.code}"] = float(np.mean(right[known]))
        if not head.research_only:
            z = by_view["as_is"][i][known]
            t, b = fit_scaling(z, other[known])
            scores["score"] -= head.loss_weight * losses.log_loss((z + b) / t, other[known])
    return scores
