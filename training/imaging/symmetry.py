"""Networks to which a picture turned by a quarter is the same picture.

A dermatoscope, a fundus camera's operator or a CT patch knows no "up". Group-equivariant
convolutions over quarter turns (Cohen and Welling, ICML 2016, "Group Equivariant Convolutional
Networks") build that in: every filter is used in four turns that share its weights, so a feature
is learned once instead of four times. `symmetrise` rewrites a plain residual network in place;
`bake` writes the turns out as plain layers for export.

Channels are ordered [feature, turn]. Exactly the same answer for all four turns needs odd sizes at
every stride of 2 (129 = 65 = 33 = 17 = 9); else it holds nearly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TURNS = 4


class TurnedConv2d(nn.Module):
    """A convolution [N, in, h, w] -> [N, out, h', w'] whose filters come in four turns.

    `lifting`: the input is a picture, not yet in turns.
    """

    def __init__(self, plain: nn.Conv2d, *, lifting: bool) -> None:
        super().__init__()
        features = plain.out_channels // TURNS
        size = plain.kernel_size[0]
        inputs = (plain.in_channels,) if lifting else (plain.in_channels // TURNS, TURNS)
        self.lifting = lifting
        self.stride, self.padding = plain.stride, plain.padding
        self.weight = nn.Parameter(torch.empty(features, *inputs, size, size))
        nn.init.kaiming_normal_(self.weight.flatten(1, -3), mode="fan_in", nonlinearity="relu")

    def expanded(self) -> Tensor:
        """The plain weights [out, in, k, k]."""
        turned = []
        for turn in range(TURNS):
            filters = torch.rot90(self.weight, turn, (-2, -1))
            turned.append(filters if self.lifting else filters.roll(turn, dims=2))
        stacked = torch.stack(turned, dim=1).flatten(0, 1)
        return stacked if self.lifting else stacked.flatten(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.conv2d(
            x,
            self.expanded(),
            None,
            self.stride,
            self.padding,
        )


class TurnedBatchNorm2d(nn.Module):
    """Batch normalisation whose four turns of a feature share scale, shift and running moments."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, plain: nn.BatchNorm2d) -> None:
        super().__init__()
        features = plain.num_features // TURNS
        self.momentum, self.eps = plain.momentum or 0.1, plain.eps
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(plain.num_features))
        self.register_buffer("running_var", torch.ones(plain.num_features))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance [channels], alike for the turns of a feature."""
        mean, variance = (m.view(-1, TURNS).mean(1) for m in (self.running_mean, self.running_var))
        return mean.repeat_interleave(TURNS), variance.repeat_interleave(TURNS)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scale, shift = (p.repeat_interleave(TURNS) for p in (self.weight, self.bias))
        mean, variance = (self.running_mean, self.running_var) if self.training else self.moments()
        return functional.batch_norm(
            x, mean, variance, scale, shift, self.training, self.momentum, self.eps
        )


def symmetrise(net: nn.Module, image_channels: int) -> None:
    """Replace every convolution and batch normalisation below `net` by its turned form.

    Raises ValueError for a width that is not a multiple of four.
    """
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                if child.out_channels % TURNS:
                    raise ValueError("widths must be multiples of four")
                lifting = child.in_channels == image_channels
                setattr(module, name, TurnedConv2d(child, lifting=lifting))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(module, name, TurnedBatchNorm2d(child))


def over_turns(x: Tensor) -> Tensor:
    """Features [N, C, h, w] from [N, C * 4, h, w]: the mean over turns."""
    n, channels, height, width = x.shape
    return x.reshape(n, channels // TURNS, TURNS, height, width).mean(2)


@torch.no_grad()
def bake(net: nn.Module) -> None:
    """Write the turns out: plain convolutions and normalisations that give the same in `eval`."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, TurnedConv2d):
                weight = child.expanded()
                plain = nn.Conv2d(
                    weight.shape[1], weight.shape[0], weight.shape[2],
                    child.stride, child.padding, bias=False,  # type: ignore[arg-type]
                )  # fmt: skip
                plain.weight.copy_(weight)
                setattr(module, name, plain)
            elif isinstance(child, TurnedBatchNorm2d):
                norm = nn.BatchNorm2d(len(child.running_mean), eps=child.eps)
                mean, variance = child.moments()
                norm.running_mean, norm.running_var = mean, variance
                norm.weight.copy_(child.weight.repeat_interleave(TURNS))
                norm.bias.copy_(child.bias.repeat_interleave(TURNS))
                setattr(module, name, norm.eval())
