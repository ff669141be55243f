"""From fitted networks to the one ONNX file that is served.

The graph takes preprocessed images and gives logits, features and class-activation maps in one
pass; several members are averaged inside it. Weights are stored as int8 with a scale per output
channel and computed in fp32: a quarter of the size, and a batch does not change an answer as
dynamic int8 would. ONNX Runtime unfolds them once, when it loads the file.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.backends.onnx import OnnxBackend
from models.imaging.questions import LOGITS
from training.imaging.calibrate import Projection
from training.imaging.config import HeadConfig, ImagingConfig
from training.imaging.net import SalientNet
from training.imaging.symmetry import bake
from training.imaging.trunks import FullPrecision

Floats = npt.NDArray[np.float32]
OPSET = 17
_MIN_SMALL_ELEMENTS = 256
_FEW_CHANNELS = 3


def output_names(config: ImagingConfig) -> tuple[str, ...]:
    """The graph's outputs: the first head's logits, further heads', features, maps."""
    logits = (logits_name(number, head) for number, head in enumerate(config.heads))
    return (*logits, "features", "saliency")


def logits_name(number: int, head: HeadConfig) -> str:
    """The output that holds a head's logits."""
    return LOGITS if number == 0 else f"{LOGITS}_{head.code}"


class ServedNet(nn.Module):
    """image [N, C, S, S] (and context [N, K]) -> the tensors of `output_names`, in order.

    Logits and saliency [N, labels, h, w] are the members' means. Without a projection the features
    are the members' pooled features side by side.
    """

    def __init__(self, members: Sequence[SalientNet], projection: Projection | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(copy.deepcopy(member) for member in members)
        self.project: nn.Module = nn.Identity()
        if projection is not None:
            self.project = ProjectionLayer(projection)

    @torch.no_grad()
    def shift(self, bias: Floats) -> None:
        """Add to the logits of all heads, side by side, and so to the means of the maps."""
        for member in self.members:
            assert isinstance(member, SalientNet)
            member.head.bias.add_(torch.from_numpy(bias.astype(np.float32)))

    def forward(self, image: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        """See the class."""
        outputs = [member(image, context) for member in self.members]
        share = 1.0 / len(outputs)
        logits = [
            torch.stack([o.logits[i] for o in outputs]).sum(0) * share
            for i in range(len(outputs[0].logits))
        ]
        saliency = torch.stack([o.saliency for o in outputs]).sum(0) * share
        pooled = torch.cat([o.features for o in outputs], dim=1)
        return (*logits, self.project(pooled), saliency)


class ProjectionLayer(nn.Module):
    """`training.imaging.calibrate.Projection` as a layer: [N, D] -> [N, K + 1]."""

    mean: Tensor
    basis: Tensor
    deviation: Tensor
    residual: Tensor

    def __init__(self, projection: Projection) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(projection.mean).float())
        self.register_buffer("basis", torch.tensor(projection.basis).float())
        self.register_buffer("deviation", torch.tensor(projection.deviation).float())
        self.register_buffer("residual", torch.tensor([projection.residual_scale]).float())

    def forward(self, pooled: Tensor) -> Tensor:
        """Whitened coordinates and the size of what they leave over."""
        centred = pooled - self.mean
        coordinates = centred @ self.basis
        left = centred - coordinates @ self.basis.t()
        size = (left * left).sum(1, keepdim=True).sqrt() / self.residual
        return torch.cat([coordinates / self.deviation, size], dim=1)


def export_onnx(net: ServedNet, config: ImagingConfig, path: Path) -> None:
    """Write `path` (one file, opset 17, dynamic batch axis), weights as int8."""
    net = copy.deepcopy(net).eval()
    bake(net)
    inputs, names = example(config), output_names(config)
    with warnings.catch_warnings():
        # The tracer warns of shape checks that hold for every size.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, tuple(inputs.values()), str(path), dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *names)},
        )  # fmt: skip
    model = onnx.load(str(path))
    store_small(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def example(config: ImagingConfig) -> dict[str, Tensor]:
    """Two rows of zeros for each input of the graph."""
    spec = config.preprocessing
    inputs = {"image": torch.zeros(2, spec.channels, spec.size, spec.size)}
    if config.context:
        inputs["context"] = torch.zeros(2, config.context_width)
    return inputs


def plain(net: ServedNet) -> ServedNet:
    """A copy of plain layers: turns written out, and nothing kept out of mixed precision, which is
    a matter of training."""
    net = copy.deepcopy(net).eval()
    bake(net)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, FullPrecision):
                setattr(module, name, child.layer)
    return net


def exported(net: ServedNet, config: ImagingConfig) -> OnnxBackend:
    """The network as its exported file computes it; the file itself is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(net, config, path)
        return OnnxBackend(path, threads=config.optimisation.threads or 2)


def store_small(model: onnx.ModelProto) -> None:
    """Replace each large fp32 weight [out, ...] by int8 values and a scale per `out`, in place.

    The projection keeps its precision: whoever changes it changes the distance. So do kernels over
    few channels (a stem, depthwise convolutions): they are small, and rounding them moves the
    logits of a depthwise network as much as all the rest.
    """
    graph = model.graph
    unfolded = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or tensor.name.startswith("project."):
            continue
        values = numpy_helper.to_array(tensor)
        few_channels = values.ndim == 4 and values.shape[1] <= _FEW_CHANNELS
        if values.size < _MIN_SMALL_ELEMENTS or values.ndim < 2 or few_channels:
            continue
        peak = np.abs(values).reshape(len(values), -1).max(axis=1)
        scale = (np.where(peak > 0, peak, 1.0) / 127.0).astype(np.float32)
        scale = scale.reshape(-1, *[1] * (values.ndim - 1))
        small = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(small, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        unfolded += [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name]),
        ]
    for node in reversed(unfolded):
        graph.node.insert(0, node)


def run(net: ServedNet, inputs: Mapping[str, Floats]) -> list[Floats]:
    """The torch network's outputs in the order of `output_names`, fp32, in parts of 64 rows."""
    net.eval()
    count = len(inputs["image"])
    parts = []
    with torch.inference_mode():
        for start in range(0, count, 64):
            rows = [torch.from_numpy(v[start : start + 64]) for v in inputs.values()]
            parts.append([out.numpy() for out in net(*rows)])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
