"""The classifier's network: MONAI's ResNet, made robust to style and able to show where it looks.

Three changes to the plain network, each for images acquired elsewhere: the stem normalises each
image by itself (instance normalisation), MixStyle mixes feature statistics between images while
training, and the last stage keeps its resolution so that the class-activation map is not too
coarse. Style here is the mean and spread of feature maps (Zhou et al., ICLR 2021, MixStyle).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from monai.networks.nets import ResNet
from torch import Tensor, nn


class ClassifierOutput(NamedTuple):
    """logits [N, C]; features [N, D], pooled; saliency [N, h, w], see `SalientResNet`."""

    logits: Tensor
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


class SalientResNet(nn.Module):
    """image [N, 1, S, S] -> `ClassifierOutput`.

    The saliency map is the class-activation map (Zhou et al., CVPR 2016) of `positive` against
    class 0: its mean over all positions is exactly logits[positive] - logits[0].
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        *,
        classes: int = 2,
        positive: int = 1,
        dropout: float = 0.2,
        mixstyle: float = 0.5,
    ) -> None:
        super().__init__()
        net = ResNet(
            "basic",
            list(blocks),
            list(widths),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
        )
        self.stem = nn.Sequential(
            net.conv1, nn.InstanceNorm2d(widths[0], affine=True), nn.ReLU(), net.maxpool
        )
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        _keep_resolution(net.layer4)
        self.mixstyle = MixStyle(mixstyle)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[3], classes)
        self.positive = positive

    def forward(self, image: Tensor) -> ClassifierOutput:
        """Logits, pooled features and the class-activation map of each image."""
        x = self.stem(image)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < 2:
                x = self.mixstyle(x)
        features = x.mean((2, 3))
        logits = self.head(self.dropout(features))
        weight = self.head.weight[self.positive] - self.head.weight[0]
        bias = self.head.bias[self.positive] - self.head.bias[0]
        saliency = (x * weight.view(1, -1, 1, 1)).sum(1) + bias
        return ClassifierOutput(logits, features, saliency)


def _keep_resolution(stage: nn.Module) -> None:
    """Undo the stage's downsampling: its stride-2 convolutions become stride 1."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
