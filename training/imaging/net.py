"""The classifier's network: a trunk of MONAI, made robust to style and able to show where it looks.

Changes to the plain trunk (training/imaging/trunks.py) for images acquired elsewhere: a stem that
can normalise each image by itself (instance normalisation), MixStyle, which mixes feature
statistics between images while training (Zhou et al., ICLR 2021; style is the mean and spread of
feature maps), and a last stage that can keep its resolution, so that the class-activation map is
not too coarse. One linear layer answers all questions (heads).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.imaging.preprocess import PreprocessSpec
from training.imaging.config import NetConfig
from training.imaging.symmetry import over_turns, symmetrise
from training.imaging.trunks import trunk


class ClassifierOutput(NamedTuple):
    """logits [N, C] per head; features [N, D], pooled; saliency [N, C, h, w], first head's."""

    logits: tuple[Tensor, ...]
    features: Tensor
    saliency: Tensor


class MixStyle(nn.Module):
    """Mixes channel means and deviations between images of a batch; does nothing in `eval()`."""

    def __init__(self, probability: float, alpha: float = 0.2) -> None:
        super().__init__()
        self.probability = probability
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, h, w], same shape out."""
        if not self.training or float(torch.rand(())) >= self.probability:
            return x
        n = len(x)
        mean = x.mean((2, 3), keepdim=True).detach()
        deviation = (x.var((2, 3), keepdim=True) + 1e-5).sqrt().detach()
        share = torch.distributions.Beta(self.alpha, self.alpha).sample((n, 1, 1, 1)).to(x)
        other = torch.randperm(n, device=x.device)
        mixed_mean = mean * share + mean[other] * (1 - share)
        mixed_deviation = deviation * share + deviation[other] * (1 - share)
        return (x - mean) / deviation * mixed_deviation + mixed_mean


class SalientNet(nn.Module):
    """image [N, channels, S, S], context [N, K] -> `ClassifierOutput`.

    Features are pooled by a power mean, (mean of x^p)^(1/p): p = 1 is the plain mean, larger ones
    listen to small lesions. The saliency maps are class-activation maps (Zhou et al., CVPR 2016):
    the mean of a map over all positions is exactly the part of its logit that comes from the
    picture.
    """

    def __init__(
        self,
        net: NetConfig,
        heads: Sequence[int],
        spec: PreprocessSpec,
        *,
        context: int = 0,
    ) -> None:
        """`heads`: number of labels of each; `context`: length of the context, 0 for none."""
        super().__init__()
        parts = trunk(net, spec)
        self.stem, self.stages = parts.stem, nn.ModuleList(parts.stages)
        self.frozen = [parts.stem, *parts.stages][: net.frozen]
        for part in self.frozen:
            part.requires_grad_(False)
        self.turned = net.symmetry == 4
        if self.turned:
            symmetrise(self.stem, spec.channels)
            symmetrise(self.stages, spec.channels)
        self.mixstyle = MixStyle(net.mixstyle)
        self.dropout = nn.Dropout(net.dropout)
        self.heads, self.power = tuple(heads), net.pool_power
        self.head = nn.Linear(parts.width // net.symmetry, sum(self.heads))
        self.context: nn.Module | None = None
        if context:
            self.context = nn.Sequential(
                nn.Linear(context, 32), nn.ReLU(), nn.Linear(32, sum(self.heads))
            )

    def train(self, mode: bool = True) -> SalientNet:
        """As torch's; what is frozen keeps the running statistics that it came with, too."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def forward(self, image: Tensor, context: Tensor | None = None) -> ClassifierOutput:
        """Logits, pooled features and class-activation maps of each image."""
        x = self.stem(image)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < 2:
                x = self.mixstyle(x)
        features, share = self._pool(over_turns(x) if self.turned else x)
        logits = self.head(self.dropout(features))
        if self.context is not None and context is not None:
            logits = logits + self.context(context)
        first = self.heads[0]
        weight = self.head.weight[:first].unsqueeze(-1).unsqueeze(-1)
        saliency = functional.conv2d(share, weight, self.head.bias[:first])
        return ClassifierOutput(torch.split(logits, list(self.heads), dim=1), features, saliency)

    def _pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features [N, D], and maps [N, D, h, w] whose mean they are."""
        if self.power == 1.0:
            return x.mean((2, 3)), x
        raised = x.float().clamp(min=1e-4) ** self.power
        mean = raised.mean((2, 3), keepdim=True)
        share = raised * mean ** (1.0 / self.power - 1.0)
        return (mean ** (1.0 / self.power)).flatten(1), share
