"""A picture turned by a quarter gets the same answer, from the trained and from the baked net."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from models.imaging.preprocess import PreprocessSpec  # noqa: E402
from training.imaging.config import NetConfig  # noqa: E402
from training.imaging.net import SalientNet  # noqa: E402
from training.imaging.symmetry import bake  # noqa: E402

pytestmark = pytest.mark.torch


def network() -> SalientNet:
    torch.manual_seed(0)
    net = SalientNet(
        NetConfig(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1), stem="batch", stem_kernel=3,
                  last_stride=2, symmetry=4),
        [3], PreprocessSpec(mode="rgb"),
    )  # fmt: skip
    net.train()
    for _ in range(3):  # running moments that differ from their start
        net(torch.rand(8, 3, 65, 65))
    return net.eval()


def test_quarter_turns_change_no_answer_and_turn_the_map() -> None:
    net, image = network(), torch.rand(2, 3, 65, 65)
    with torch.inference_mode():
        upright, turned = net(image), net(torch.rot90(image, 1, (2, 3)))
    torch.testing.assert_close(upright.logits[0], turned.logits[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        torch.rot90(upright.saliency, 1, (2, 3)), turned.saliency, atol=1e-4, rtol=1e-4
    )
    assert float((upright.logits[0][0] - upright.logits[0][1]).abs().max()) > 1e-3


def test_the_baked_network_says_the_same() -> None:
    net, image = network(), torch.rand(2, 3, 65, 65)
    plain = copy.deepcopy(net)
    bake(plain)
    with torch.inference_mode():
        torch.testing.assert_close(net(image).logits[0], plain(image).logits[0])


def test_widths_must_come_in_fours() -> None:
    with pytest.raises(ValueError, match="four"):
        SalientNet(NetConfig(widths=(6, 8, 8, 8), symmetry=4), [2], PreprocessSpec())
