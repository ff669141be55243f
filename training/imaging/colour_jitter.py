"""Another lamp, another camera: gain per colour channel, saturation and gamma, drawn at random.

MONAI has transforms for one channel's intensity, none for a cast of colour over all three.
"""

from __future__ import annotations

import torch
from monai.transforms import RandomizableTransform
from torch import Tensor

_LUMINANCE = (0.299, 0.587, 0.114)


class RandColourCast(RandomizableTransform):  # type: ignore[misc]
    """[3, H, W] in 0..1 -> the same shape; each argument is the largest change, as a fraction."""

    def __init__(
        self, prob: float = 1.0, cast: float = 0.1, saturation: float = 0.2, gamma: float = 0.2
    ) -> None:
        super().__init__(prob)
        self.cast, self.saturation, self.gamma = cast, saturation, gamma

    def __call__(self, img: Tensor) -> Tensor:
        """See the class."""
        self.randomize(None)
        if not self._do_transform:
            return img
        gain = 1.0 + self.R.uniform(-self.cast, self.cast, 3)
        saturation = 1.0 + self.R.uniform(-self.saturation, self.saturation)
        gamma = 1.0 + self.R.uniform(-self.gamma, self.gamma)
        x = torch.as_tensor(img) * torch.tensor(gain, dtype=torch.float32).view(3, 1, 1)
        grey = (x * torch.tensor(_LUMINANCE).view(3, 1, 1)).sum(0, keepdim=True)
        mixed: Tensor = (grey + (x - grey) * saturation).clamp(1e-4, 1.0) ** gamma
        return mixed
