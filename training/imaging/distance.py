"""The limit beyond which a picture is out of distribution: how far new pictures of the kind lie.

Squared Mahalanobis distance of the projected features (Lee et al., NeurIPS 2018), over pictures as
they are and under every stress view, whatever the threshold was chosen by: a picture of another
clinic is to be answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models import calibration
from models.manifest import OutOfDistribution
from training.imaging import calibrate, evaluate, export
from training.imaging.config import ImagingConfig
from training.imaging.data import LabelledImages, Labels, preprocess_all
from training.imaging.evaluate import Outputs
from training.imaging.net import SalientNet

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def limit(config: ImagingConfig, own: Outputs, unseen: Sequence[Floats]) -> OutOfDistribution:
    """A Gaussian of the training images' outputs, its limit by features of images never seen."""
    mean, precision = calibrate.fit_gaussian(own["features"])
    reach = _quantile(config, np.concatenate(unseen), mean, precision)
    return _stored(mean, precision, reach)


def limit_with_folds(
    config: ImagingConfig,
    members: Sequence[SalientNet],
    held_out: Sequence[Labels],
    full: LabelledImages,
    own: Outputs,
) -> OutOfDistribution:
    """As `limit`, where no image is new to all members.

    The limit on training images is widened by how much farther a member's own held-out images lie
    than its training images.
    """
    mean, precision = calibrate.fit_gaussian(own["features"])
    ratios = []
    for member, held in zip(members, held_out, strict=True):
        fitted = np.setdiff1d(np.concatenate(held_out), held)
        seen = [
            pooled([member], config, preprocess_all(part.images, config.preprocessing),
                   part.context if config.context else None)
            for part in (full.take(fitted), full.take(held))
        ]  # fmt: skip
        projection = calibrate.fit_projection(seen[0], config.operating.ood_components)
        near, far = (calibrate.project(features, projection) for features in seen)
        gaussian = calibrate.fit_gaussian(near)
        ratios.append(_quantile(config, far, *gaussian) / _quantile(config, near, *gaussian))
    reach = _quantile(config, own["features"], mean, precision)
    return _stored(mean, precision, reach * max(1.0, float(np.median(ratios))))


def pooled(
    members: Sequence[SalientNet], config: ImagingConfig, inputs: Floats, context: Floats | None
) -> Floats:
    """The members' pooled features side by side [N, D], of the graph as it is exported."""
    backend = export.exported(export.ServedNet(members), config)
    return evaluate.run_backend(backend, inputs, context)["features"]


def _quantile(
    config: ImagingConfig, features: Floats | Doubles, mean: Doubles, precision: Doubles
) -> float:
    distances = calibration.mahalanobis(features, mean, precision)
    return float(np.quantile(distances, config.operating.ood_quantile))


def _stored(mean: Doubles, precision: Doubles, reach: float) -> OutOfDistribution:
    return OutOfDistribution(
        method="mahalanobis",
        threshold=round(reach, 3),
        statistics={
            "mean": [float(f"{v:.6g}") for v in mean],
            "precision": [float(f"{v:.6g}") for v in precision.ravel()],
        },
    )
