"""Tiny networks with the layouts that others publish, and files as they would be downloaded."""

from __future__ import annotations

import json
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

PATHOLOGIES = ("Effusion", "Pneumonia", "")
OP_THRESHS = (0.2, 0.05, float("nan"))
SIZE = 64


class _DenseLayer(nn.Sequential):
    def __init__(self, inputs: int, growth: int, bn_size: int) -> None:
        super().__init__()
        self.add_module("norm1", nn.BatchNorm2d(inputs))
        self.add_module("relu1", nn.ReLU(inplace=True))
        self.add_module("conv1", nn.Conv2d(inputs, bn_size * growth, 1, bias=False))
        self.add_module("norm2", nn.BatchNorm2d(bn_size * growth))
        self.add_module("relu2", nn.ReLU(inplace=True))
        self.add_module("conv2", nn.Conv2d(bn_size * growth, growth, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], 1)


class _DenseBlock(nn.Sequential):
    def __init__(self, layers: int, inputs: int, growth: int, bn_size: int) -> None:
        super().__init__()
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", _DenseLayer(inputs + i * growth, growth, bn_size))


class _Transition(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.add_module("norm", nn.BatchNorm2d(inputs))
        self.add_module("relu", nn.ReLU(inplace=True))
        self.add_module("conv", nn.Conv2d(inputs, outputs, 1, bias=False))
        self.add_module("pool", nn.AvgPool2d(2, 2))


class DenseNet(nn.Module):
    """A DenseNet with torchvision's names: blocks (2, 2, 2, 2), growth 4."""

    def __init__(self, channels: int = 1, outputs: int = 3) -> None:
        super().__init__()
        growth, bn_size, width = 4, 2, 8
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
                norm0=nn.BatchNorm2d(width),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(3, stride=2, padding=1),
            )
        )
        for i in range(4):
            self.features.add_module(f"denseblock{i + 1}", _DenseBlock(2, width, growth, bn_size))
            width += 2 * growth
            if i < 3:
                self.features.add_module(f"transition{i + 1}", _Transition(width, width // 2))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.relu(self.features(x)).mean((2, 3))
        out: Tensor = self.classifier(pooled)
        return out


def densenet(channels: int = 1, outputs: int = 3) -> DenseNet:
    """Random weights, and running statistics that are not those of a fresh network."""
    torch.manual_seed(3)
    net = DenseNet(channels, outputs)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.2)
    nn.init.normal_(net.classifier.weight, std=0.5)
    return net.eval()


@contextmanager
def published_as(module: str) -> Iterator[None]:
    """The classes above under another library's name, as long as a file is written."""
    classes = (_DenseLayer, _DenseBlock, _Transition, DenseNet)
    home, names = __name__, module.split(".")
    parts = [".".join(names[: i + 1]) for i in range(len(names))]
    before = {part: sys.modules.get(part) for part in parts}
    for part in parts:
        sys.modules[part] = types.ModuleType(part)
    for cls in classes:
        setattr(sys.modules[module], cls.__name__, cls)
        cls.__module__ = module
    try:
        yield
    finally:
        for cls in classes:
            cls.__module__ = home
        for part, old in before.items():
            del sys.modules[part]
            if old is not None:
                sys.modules[part] = old


def save_torchxrayvision(path: Path, *, legacy: bool) -> DenseNet:
    """A whole pickled module with thresholds and names, in the format of its day."""
    net = densenet()
    net.op_threshs = list(OP_THRESHS)  # type: ignore[assignment]
    net.pathologies = list(PATHOLOGIES)  # type: ignore[assignment]
    with published_as("torchxrayvision.models"):
        torch.save(net, path, _use_new_zipfile_serialization=not legacy)
    return net


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`norm.1` for `norm1`, as torchvision wrote before 0.3."""
    found = {}
    for name, value in state.items():
        for kind in ("norm1", "norm2", "conv1", "conv2"):
            name = name.replace(f".{kind}.", f".{kind[:-1]}.{kind[-1]}.")
        found[name] = value
    return found


def about(**fields: Any) -> dict[str, Any]:
    """What the owner of the torchxrayvision-like network says of it."""
    base: dict[str, Any] = {
        "name": "chest_findings",
        "title": {"zh": "胸片征象", "en": "Findings on chest radiographs"},
        "intended_use": "A test.",
        "population": {"image_kind": "chest_xray", "min_age_years": 18, "modalities": ["DX"]},
        "training_sets": [
            {"name": "made up", "rows": 1, "licence": "CC0-1.0", "commercial_use": "allowed",
             "source": "nowhere"}
        ],
        "labels": [
            {"code": "effusion", "zh": "胸腔积液", "en": "Effusion"},
            {"code": "pneumonia", "zh": "肺炎征象", "en": "Pneumonia"},
            None,
        ],
        "activation": "sigmoid",
        "primary": "pneumonia",
        "image": {"size": SIZE, "scaling": "torchxrayvision", "shape": "centre"},
    }  # fmt: skip
    return base | fields


def write_about(folder: Path, **fields: Any) -> Path:
    path = folder / "about.yaml"
    path.write_text(yaml.safe_dump(about(**fields), allow_unicode=True), encoding="utf-8")
    return path


NETWORK_DEF: dict[str, Any] = {
    "_target_": "DenseNet", "spatial_dims": 2, "in_channels": 3, "out_channels": "@classes",
    "init_features": 8, "growth_rate": 4, "block_config": [2, 2, 2, 2], "bn_size": 2,
}  # fmt: skip
BUNDLE_LABELS = [
    {"code": "low", "zh": "低", "en": "low"},
    {"code": "high", "zh": "高", "en": "high"},
]
BUNDLE_ABOUT: dict[str, Any] = {
    "name": "bundle_test", "labels": BUNDLE_LABELS, "activation": "softmax", "primary": "high",
    "image": {"size": SIZE, "scaling": "imagenet", "colour": "rgb"},
}  # fmt: skip


def save_bundle(folder: Path, *, script: bool = False, **network: Any) -> nn.Module:
    """A MONAI bundle of a tiny classifier of colour pictures; `network` changes its definition."""
    from monai.networks.nets import DenseNet as MonaiDenseNet

    torch.manual_seed(5)
    sizes = {k: v for k, v in NETWORK_DEF.items() if k != "_target_"} | {"out_channels": 2}
    net = MonaiDenseNet(**sizes).eval()
    nn.init.normal_(net.class_layers.out.weight, std=0.5)
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    if script:
        torch.jit.save(torch.jit.script(net), str(folder / "models" / "model.ts"))
    else:
        torch.save(net.state_dict(), folder / "models" / "model.pt")
    config = {
        "imports": ["$import os"],
        "classes": 2,
        "network_def": NETWORK_DEF | network,
        "network": "$@network_def.to(@device)",
    }
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    metadata = {
        "version": "0.3.1",
        "copyright": "A test's own",
        "intended_use": "To be tested.",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "num_channels": 3,
                    "spatial_shape": [SIZE, SIZE],
                    "value_range": [0, 1],
                }
            },
            "outputs": {"pred": {"num_channels": 2, "channel_def": {"0": "low", "1": "high"}}},
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return net


def save_text_encoder(folder: Path, *, marks: bool = True) -> tuple[Any, Any]:
    """A tiny BERT exported to ONNX with its tokeniser; `marks`: texts begin with [CLS]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *"头痛三天发热咳嗽没有",
        "fever",
        "cough",
        "and",
        "a",
    ]
    tokeniser = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokeniser.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if marks:
        tokeniser.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    net = BertModel(config, add_pooling_layer=False).eval()

    class Exported(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            states: Tensor = self.net(input_ids=ids, attention_mask=mask).last_hidden_state
            return states

    folder.mkdir()
    row = torch.ones(2, 7, dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    torch.onnx.export(
        Exported().eval(), (row, row), str(folder / "model.onnx"), dynamo=False, opset_version=17,
        input_names=["input_ids", "attention_mask"], output_names=["last_hidden_state"],
        dynamic_axes=dict.fromkeys(("input_ids", "attention_mask", "last_hidden_state"), axes),
    )  # fmt: skip
    tokeniser.save(str(folder / "tokenizer.json"))
    config.to_json_file(str(folder / "config.json"))
    return net, tokeniser
