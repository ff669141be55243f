"""Is the saliency map about the image and the learned weights? Two sanity checks, as numbers.

Model randomisation (Adebayo et al., NeurIPS 2018): maps of the trained network must not resemble
maps of the same network with random weights. Localisation: how much of the map lies in the middle
of the picture, where what matters should be, and how far the score survives without the middle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from models.backends import Backend
from models.calibration import softmax
from models.manifest import Metric
from models.metrics import macro_auc
from training.imaging.config import ImagingConfig
from training.imaging.data import LabelledImages, preprocess_all
from training.imaging.evaluate import run_backend
from training.imaging.fit import build_net

Floats = npt.NDArray[np.float32]


def sanity(
    config: ImagingConfig, backend: Backend, data: LabelledImages, *, limit: int = 100
) -> dict[str, Metric]:
    """Correlation with random networks' maps, share of the centre, AUC with the centre blanked.

    Measured on up to `limit` images for the maps (of the label that the threshold is for, else
    of the true label) and on all for the AUC.
    """
    inputs = preprocess_all(data.images, config.preprocessing)
    context = data.context if config.context else None
    some = np.arange(0, len(data), max(1, len(data) // limit))
    shown = data.first[some]
    few = None if context is None else context[some]
    maps = _contrast(run_backend(backend, inputs[some], few)["saliency"], shown)
    correlations = [
        mean_rank_correlation(
            maps,
            _contrast(randomised_maps(config, inputs[some], config.seed + 100 + i), shown),
        )
        for i in range(5)
    ]
    blanked = run_backend(backend, blank_centre(inputs), context)["logits"]
    found = {
        "randomised_weights_rank_correlation": float(np.mean(correlations)),
        "randomised_weights_max_abs_correlation": float(np.max(np.abs(correlations))),
        "central_share": central_share(maps),
        "auc_with_centre_blanked": macro_auc(data.first, softmax(blanked)),
    }
    return {name: Metric(value=round(value, 4)) for name, value in found.items()}


def _contrast(maps: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Each image's map of its label less the mean of the others: [N, C, h, w] -> [N, h, w]."""
    own = maps[np.arange(len(maps)), labels]
    others = (maps.sum(axis=1) - own) / (maps.shape[1] - 1)
    contrast: Floats = own - others
    return contrast


def randomised_maps(config: ImagingConfig, inputs: Floats, seed: int) -> Floats:
    """Class-activation maps [N, C, h, w] of a network with fresh random weights."""
    torch.manual_seed(seed)
    untaught = config.net.model_copy(update={"start": "random"})
    net = build_net(config.model_copy(update={"net": untaught})).eval()
    with torch.inference_mode():
        maps: Floats = net(torch.from_numpy(inputs)).saliency.numpy()
    return maps


def mean_rank_correlation(one: Floats, other: Floats) -> float:
    """Mean Spearman correlation over images of two stacks of maps [N, h, w]."""
    a, b = (_ranks(m.reshape(len(m), -1)) for m in (one, other))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)) + 1e-9
    return float(np.mean((a * b).sum(axis=1) / scale))


def _ranks(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    ranks: npt.NDArray[np.float64] = rows.argsort(axis=1).argsort(axis=1).astype(np.float64)
    return ranks


def central_share(maps: Floats, fraction: float = 0.75) -> float:
    """Share of positive saliency inside the central square of that side; its area is the base."""
    side = maps.shape[-1]
    edge = round(side * (1 - fraction) / 2)
    positive = np.maximum(maps, 0.0)
    total = positive.sum(axis=(1, 2))
    inner = positive[:, edge : side - edge, edge : side - edge].sum(axis=(1, 2))
    seen = total > 0
    return float(np.mean(inner[seen] / total[seen])) if seen.any() else float("nan")


def blank_centre(inputs: Floats, fraction: float = 0.75) -> Floats:
    """Inputs [N, 1, S, S] with the central square set to zero: only the surround is left."""
    side = inputs.shape[-1]
    edge = round(side * (1 - fraction) / 2)
    out = inputs.copy()
    out[:, :, edge : side - edge, edge : side - edge] = 0.0
    return out
