"""From any network that ends in global average pooling and one linear layer to what is served.

Such a network shows where it looked for nothing: the class-activation map (Zhou et al., CVPR 2016)
of an output is its row of the linear layer applied to the feature maps before pooling, and its
mean over all positions is the output itself. The pooling and the linear layer are found by
running the network, and that identity is checked, so no network is taken for one that it is not.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelRefused
from models.imaging.preprocess import UNIFORM_STD
from training.adopt.about import Standard
from training.export import OPSET

Floats = NDArray[np.float32]
TOLERANCE = 1e-3
"""Largest difference between torch and the exported file, relative to the largest number + 1."""
_ROWS = 4


class Ending(NamedTuple):
    """Where a network pools and where it decides."""

    pool: nn.Module
    linear: nn.Linear


def find_ending(net: nn.Module, channels: int, size: int) -> Ending:
    """The last pooling and the last linear layer that run; raises ModelRefused where there are
    none or where more happens between or after them than pooling and a weighted sum."""
    order: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        order.append((module, given[0]))

    hooks = [
        module.register_forward_pre_hook(note)
        for module in net.modules()
        if isinstance(module, (nn.AdaptiveAvgPool2d, nn.Linear))
    ]
    seeded = torch.Generator().manual_seed(7)
    try:
        with torch.inference_mode():
            out = net(torch.rand(2, channels, size, size, generator=seeded))
    except Exception as error:
        raise ModelRefused(f"the network fails on {channels} x {size} x {size}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
    pools = [(m, given) for m, given in order if isinstance(m, nn.AdaptiveAvgPool2d)]
    lines = [m for m, _ in order if isinstance(m, nn.Linear)]
    if pools and lines and isinstance(out, Tensor):
        (pool, maps), linear = pools[-1], lines[-1]
        if maps.ndim == 4 and maps.shape[1] == linear.in_features:
            with torch.inference_mode():
                again = linear(maps.mean((2, 3)))
            close = again.shape == out.shape and torch.allclose(again, out, atol=1e-3, rtol=1e-3)
            if close and bool(torch.isfinite(out).all()):
                return Ending(pool, linear)
    raise ModelRefused(
        "the network does not end in global average pooling and one linear layer, so nothing"
        " would show where it looked"
    )


class AdoptedNet(nn.Module):
    """image [N, C, S, S] as `models.imaging.preprocess` makes it -> logits, features, saliency and,
    where every output is a question of its own, the logits of the other questions.

    `outputs`: the numbers of the network's outputs that are used, the primary one first.
    Softmax: logits [N, K] are the network's, saliency [N, K, h, w] has a map for every label.
    Sigmoid: logits [N, 2] of a question are (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z));
    saliency [N, h, w] is the primary question's.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        net: nn.Module,
        ending: Ending,
        standard: Standard,
        channels: int,
        outputs: Sequence[int],
        *,
        softmax: bool,
    ) -> None:
        super().__init__()
        self.net = net
        self.linear = ending.linear
        self.outputs = tuple(outputs)
        self.softmax = softmax
        self.channels = channels
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (standard.mean, standard.std))
        # Serving gives (x - 0.5) / UNIFORM_STD: both scalings together are one.
        self.register_buffer("scale", (UNIFORM_STD / std).float().view(1, -1, 1, 1))
        self.register_buffer("shift", ((0.5 - mean) / std).float().view(1, -1, 1, 1))
        self._maps: list[Tensor] = []
        ending.pool.register_forward_pre_hook(self._keep)

    def _keep(self, _module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._maps.append(given[0])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        self._maps.clear()
        x = image * self.scale + self.shift
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        answer = self.net(x)
        maps = self._maps[-1]
        saliency = functional.conv2d(maps, self.linear.weight[:, :, None, None], self.linear.bias)
        features = maps.mean((2, 3))
        if self.softmax:
            return answer, features, saliency
        questions = [
            torch.stack([torch.zeros_like(answer[:, i]), answer[:, i]], dim=1) for i in self.outputs
        ]
        return questions[0], features, saliency[:, self.outputs[0]], *questions[1:]


def export(net: AdoptedNet, channels: int, size: int, names: Sequence[str], path: Path) -> None:
    """Write `path`: one file, fp32, opset 17, dynamic batch axis. `names`: the outputs'."""
    net.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (torch.zeros(2, channels, size, size),), str(path), dynamo=False,
            opset_version=OPSET, input_names=["image"], output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in ("image", *names)},
        )  # fmt: skip
    onnx.checker.check_model(onnx.load(str(path)), full_check=True)


def parity(
    net: AdoptedNet, channels: int, size: int, names: Sequence[str], path: Path
) -> dict[str, float]:
    """Largest absolute differences, torch against the file and a batch against its rows alone.

    Raises ModelRefused where one is larger than TOLERANCE allows.
    """
    rng = np.random.default_rng(7)
    smooth = np.linspace(-1.7, 1.7, size, dtype=np.float32)
    rows = rng.normal(size=(_ROWS, channels, size, size)).astype(np.float32)
    rows[::2] = rows[::2] * 0.1 + smooth[:, None] * np.cos(3 * smooth)[None, :]
    with torch.inference_mode():
        expected = [t.numpy() for t in net.eval()(torch.from_numpy(rows))]
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    together: list[Floats] = session.run(list(names), {"image": rows})
    alone = [session.run(list(names), {"image": rows[i : i + 1]}) for i in range(_ROWS)]
    found = {"rows": float(_ROWS)}
    for place, name in enumerate(names):
        reference = expected[place]
        limit = TOLERANCE * (1.0 + float(np.abs(reference).max()))
        single = np.concatenate([row[place] for row in alone])
        for what, other in (("torch_onnx", reference), ("batch_invariance", single)):
            difference = float(np.abs(together[place] - other).max())
            found[f"{what}_max_abs_{name}"] = difference
            if not difference <= limit:
                raise ModelRefused(f"the exported {name} differs by {difference:.3g} ({what})")
    return found
