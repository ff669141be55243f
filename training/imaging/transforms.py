"""Random changes of a picture by MONAI transforms, named with their arguments in the config.

Per image, on float tensors [C, H, W] in 0..1; `preprocess` comes afterwards, as in serving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import monai.transforms
import numpy as np
import numpy.typing as npt
import torch

from training.imaging.colour_jitter import RandColourCast

_OURS: dict[str, Callable[..., object]] = {"RandColourCast": RandColourCast}


class MonaiAugmenter:
    """Seeded; raises ValueError for a name that MONAI has no transform for."""

    def __init__(self, seed: int, chain: Sequence[dict[str, dict[str, object]]]) -> None:
        steps = []
        for entry in chain:
            for name, arguments in entry.items():
                made = _OURS.get(name) or getattr(monai.transforms, name, None)
                if made is None:
                    raise ValueError(f"MONAI has no transform {name}")
                steps.append(made(**arguments))
        self._chain = monai.transforms.Compose(steps)
        self._chain.set_random_state(seed=seed)

    def __call__(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """float32 [N, h, w] or [N, h, w, 3] in 0..1 from uint8 [N, H, W] or [N, H, W, 3]."""
        out = []
        for image in batch:
            planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
            x = torch.from_numpy(np.ascontiguousarray(planes)).float().div_(255.0)
            changed = torch.as_tensor(self._chain(x)).clamp_(0.0, 1.0).numpy()
            out.append(changed[0] if image.ndim == 2 else changed.transpose(1, 2, 0))
        return np.stack(out)
