"""A DenseNet (Huang et al., CVPR 2017) from a checkpoint as torchvision's or torchxrayvision's.

The network is MONAI's, which computes the same and names its layers otherwise. Its whole size, from
the input's channels to the number of outputs, is read off the weights, so 121, 169, 201 and any
other of the family are one case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from monai.networks.nets import DenseNet
from torch import Tensor

from models.errors import ModelRefused

# Wrappers leave their names in front: DataParallel, Lightning, CheXNet's own module.
_PREFIX = re.compile(r"^(?:(?:module|model|net|backbone|densenet(?:121|161|169|201))\.)+")
# torchvision before 0.3 wrote norm.1 for norm1.
_OLD = re.compile(r"(\.denselayer\d+\.(?:layers\.)?(?:norm|conv))\.([12])(?=\.)")
_LAYER = re.compile(r"(\.denselayer\d+)\.((?:norm|conv)[12]\.)")
_OUT = re.compile(r"^(?:classifier|class_layers\.out|fc)(?:\.0)?\.(weight|bias)$")
_DENSE_LAYER = re.compile(r"^features\.denseblock(\d+)\.denselayer(\d+)\.layers\.conv2\.weight$")


def monai_name(name: str) -> str:
    """A parameter's name in MONAI's layout, from torchvision's (old or new) or MONAI's own."""
    name = _OLD.sub(r"\1\2", _PREFIX.sub("", name))
    name = _LAYER.sub(r"\1.layers.\2", name)
    return _OUT.sub(r"class_layers.out.\1", name)


def densenet_of(state: Mapping[str, Tensor]) -> DenseNet:
    """The network with these weights, in `eval()`.

    Every weight must find its place and every place its weight, or ModelRefused is raised.
    """
    named = {monai_name(name): tensor for name, tensor in state.items()}
    if len(named) != len(state):
        raise ModelRefused("two weights have the same name")
    net = DenseNet(**_size(named))
    lacking = {n for n in net.state_dict() if not n.endswith("num_batches_tracked")} - set(named)
    spare = set(named) - set(net.state_dict())
    if lacking or spare:
        raise ModelRefused(
            f"not a DenseNet's weights: lacks {_few(lacking)}, knows nothing of {_few(spare)}"
        )
    try:
        net.load_state_dict(named)
    except RuntimeError as error:
        raise ModelRefused(f"not a DenseNet's weights: {error}") from error
    return net.eval()


def _size(named: Mapping[str, Tensor]) -> dict[str, object]:
    """MONAI's arguments, from the shapes of the weights."""
    blocks: dict[int, int] = {}
    for name in named:
        if found := _DENSE_LAYER.match(name):
            block, layer = int(found[1]), int(found[2])
            blocks[block] = max(blocks.get(block, 0), layer)
    first = "features.denseblock1.denselayer1.layers"
    try:
        stem = named["features.conv0.weight"]
        growth = int(named[f"{first}.conv2.weight"].shape[0])
        inner = int(named[f"{first}.conv1.weight"].shape[0])
        outputs = int(named["class_layers.out.weight"].shape[0])
    except KeyError as error:
        raise ModelRefused(f"not a DenseNet's weights: lacks {error.args[0]}") from error
    numbered = sorted(blocks) == list(range(1, len(blocks) + 1))
    if stem.ndim != 4 or stem.shape[1] not in (1, 3):
        raise ModelRefused(f"takes images of shape {list(stem.shape)}: 1 or 3 channels are read")
    if not numbered or sum(blocks.values()) > 1_000 or growth < 1 or inner % growth:
        raise ModelRefused("not a DenseNet's weights: its blocks have no known shape")
    return {
        "spatial_dims": 2,
        "in_channels": int(stem.shape[1]),
        "out_channels": outputs,
        "init_features": int(stem.shape[0]),
        "growth_rate": growth,
        "block_config": tuple(blocks[i] for i in sorted(blocks)),
        "bn_size": inner // growth,
    }


def _few(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"
