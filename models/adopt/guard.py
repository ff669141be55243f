"""Would anything refuse a picture that an added classifier knows nothing of?

An opinion on any picture is what must never happen. Either the gate knows the model's kind of
picture, or the model brings the statistics of its training images.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from models.calibration import ood_score
from models.errors import ModelRefused
from models.manifest import Manifest


def check_guarded(manifest: Manifest) -> None:
    """Raise ModelRefused for an imaging model that would answer any picture.

    Also where its out-of-distribution statistics do not fit its features.
    """
    if not manifest.knows_its_pictures:
        raise ModelRefused(
            "the model would give an opinion on any picture: name its population.image_kind,"
            " or bring out-of-distribution statistics (ood)"
        )
    ood = manifest.ood
    if ood is None:
        return
    width = next((spec.shape[-1] for spec in manifest.outputs if spec.name == "features"), 0)
    if len(ood.statistics.get("mean", [])) != width:
        raise ModelRefused(f"ood does not fit {width} features: no mean of each")
    try:
        score = float(ood_score(np.zeros((1, width)), ood)[0])
    except (KeyError, ValueError) as error:
        raise ModelRefused(f"ood does not fit {width} features: {error}") from error
    if not (np.isfinite(score) and np.isfinite(ood.threshold) and ood.threshold > 0):
        raise ModelRefused("ood: no number comes of it")


def check_kind(manifest: Manifest, hosted: Iterable[Manifest]) -> None:
    """Raise ModelRefused where the gates among the `hosted` models do not know its kind.

    A repository without any gate may get one later; until then the server does not offer it.
    """
    kind = manifest.population.image_kind
    if manifest.task != "imaging" or kind is None:
        return
    gates = [other for other in hosted if other.task == "image_kind"]
    # A kind without a threshold, as `other`, is none that a model could be for.
    known = sorted({code for gate in gates for code in gate.thresholds})
    if gates and kind not in known:
        raise ModelRefused(
            f"no gate in the repository knows pictures of the kind {kind}; known are "
            + ", ".join(known)
        )
