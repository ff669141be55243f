"""From fitted networks to the one ONNX file that is served.

The graph takes preprocessed images and gives logits, features and the class-activation map in one
pass; several members are averaged inside it. Weights are stored as fp16 and computed in fp32:
half the size, and a batch does not change an answer as dynamic int8 would.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.imaging.calibrate import Projection
from training.imaging.net import SalientResNet

Floats = npt.NDArray[np.float32]
OPSET = 17
OUTPUTS = ("logits", "features", "saliency")
_MIN_HALF_ELEMENTS = 256


class ServedNet(nn.Module):
    """image [N, 1, S, S] -> logits [N, C], features [N, K], saliency [N, h, w].

    Logits and saliency are the members' means. Without a projection the features are the members'
    pooled features side by side.
    """

    def __init__(
        self, members: Sequence[SalientResNet], projection: Projection | None = None
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(copy.deepcopy(member) for member in members)
        self.project: nn.Module = nn.Identity()
        if projection is not None:
            self.project = ProjectionLayer(projection)

    @torch.no_grad()
    def shift(self, label: int, bias: float) -> None:
        """Add `bias` to one logit of every member, and so to the mean of the saliency map."""
        for member in self.members:
            assert isinstance(member, SalientResNet)
            member.head.bias[label] += bias

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        outputs = [member(image) for member in self.members]
        share = 1.0 / len(outputs)
        logits = sum((o.logits for o in outputs[1:]), outputs[0].logits) * share
        saliency = sum((o.saliency for o in outputs[1:]), outputs[0].saliency) * share
        pooled = torch.cat([o.features for o in outputs], dim=1)
        return logits, self.project(pooled), saliency


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


def pooled_features(members: Sequence[SalientResNet], inputs: Floats) -> Floats:
    """The members' pooled features side by side [N, D], for fitting a projection."""
    net = ServedNet(members).eval()
    with torch.inference_mode():
        parts = [net(torch.from_numpy(inputs[i : i + 128]))[1] for i in range(0, len(inputs), 128)]
    pooled: Floats = torch.cat(parts).numpy()
    return pooled


def export_onnx(net: ServedNet, size: int, path: Path) -> None:
    """Write `path` (one file, opset 17, dynamic batch axis), weights as fp16."""
    net.eval()
    with warnings.catch_warnings():
        # The tracer warns of shape checks that hold for every size.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(2, 1, size, size),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in ("image", *OUTPUTS)},
        )
    model = onnx.load(str(path))
    store_as_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def store_as_half(model: onnx.ModelProto) -> None:
    """Replace each large fp32 initialiser by an fp16 one and a Cast back to fp32, in place."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_HALF_ELEMENTS or np.abs(values).max() > 60_000:
            continue
        name = tensor.name
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def parity(net: ServedNet, outputs: dict[str, Floats], inputs: Floats) -> dict[str, float]:
    """Largest absolute differences, torch (fp32 weights) against the ONNX file's outputs."""
    with torch.inference_mode():
        reference = net.eval()(torch.from_numpy(inputs))
    found = {}
    for name, tensor in zip(OUTPUTS, reference, strict=True):
        found[f"max_abs_difference_{name}"] = float(np.abs(tensor.numpy() - outputs[name]).max())
    return found
