"""Checkpoints are read for their tensors, and never run."""

from __future__ import annotations

import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from models.errors import ModelRefused  # noqa: E402
from tests.training.adopt.layouts import (  # noqa: E402
    OP_THRESHS,
    PATHOLOGIES,
    densenet,
    old_names,
    save_torchxrayvision,
)
from training.adopt.checkpoint import Placeholder, read_checkpoint  # noqa: E402
from training.adopt.densenet import densenet_of  # noqa: E402

pytestmark = pytest.mark.torch
LIMIT = 50_000_000


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def same_as(net: Any, state: dict[str, Any]) -> bool:
    """Whether a network made of the state computes what `net` computes."""
    image = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return bool(torch.allclose(densenet_of(state)(image), net(image), atol=1e-5))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
def test_a_whole_pickled_network_is_read_without_its_classes(tmp_path: Path, legacy: bool) -> None:
    net = save_torchxrayvision(tmp_path / "x.pt", legacy=legacy)
    found = read_checkpoint(tmp_path / "x.pt", LIMIT)
    assert found.pathologies == PATHOLOGIES
    assert found.op_threshs[:2] == OP_THRESHS[:2]
    assert same_as(net, dict(found.state))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        old_names,
        lambda state: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}},
        lambda state: {
            "state_dict": {
                f"module.densenet121.{k}".replace("classifier.", "classifier.0."): v
                for k, v in old_names(state).items()
            },
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        },
    ],
    ids=["torchvision", "old names", "DataParallel", "CheXNet"],
)
def test_state_dicts_of_every_layout_give_the_same_network(
    tmp_path: Path, wrap: Any, legacy: bool
) -> None:
    net = densenet()
    torch.save(
        wrap(net.state_dict()), tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy
    )
    assert same_as(net, dict(read_checkpoint(tmp_path / "x.pth", LIMIT).state))


def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path: Path) -> None:
    import numpy as np

    net = densenet()
    torch.save({"state_dict": net.state_dict(), "best": np.float64(0.9)}, tmp_path / "x.pt")
    assert same_as(net, dict(read_checkpoint(tmp_path / "x.pt", LIMIT).state))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
def test_a_malicious_checkpoint_does_not_run(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "it ran"
    torch.save(
        {"state_dict": {"a": Evil(mark)}}, tmp_path / "x.pt",
        _use_new_zipfile_serialization=not legacy,
    )  # fmt: skip
    with pytest.raises(ModelRefused, match=r"posix\.mkdir|code|no plain pickle"):
        read_checkpoint(tmp_path / "x.pt", LIMIT)
    assert not mark.exists()


@pytest.mark.parametrize("prefix", [b"", b"legacy"], ids=["bare pickle", "before 1.6"])
def test_a_malicious_pickle_without_a_checkpoint_does_not_run(
    tmp_path: Path, prefix: bytes
) -> None:
    mark = tmp_path / "it ran"
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) if prefix else b""
    (tmp_path / "x.pt").write_bytes(magic + pickle.dumps(Evil(mark), protocol=2))
    with pytest.raises(ModelRefused):
        read_checkpoint(tmp_path / "x.pt", LIMIT)
    assert not mark.exists()


def test_a_tar_that_is_also_an_old_checkpoint_is_not_unpacked(tmp_path: Path) -> None:
    """Torch's own reader would take this for its oldest format and write its members."""
    (tmp_path / "secret").write_bytes(pickle.dumps(Evil(tmp_path / "it ran")))
    with tarfile.open(tmp_path / "x.pt", "w") as tar:
        for name in ("storages", "tensors", "pickle"):
            tar.add(tmp_path / "secret", name)
    with pytest.raises(ModelRefused):
        read_checkpoint(tmp_path / "x.pt", LIMIT)
    assert not (tmp_path / "it ran").exists()


def test_a_module_of_an_unknown_class_is_refused_with_the_way_to_convert_it(
    tmp_path: Path,
) -> None:
    torch.save(densenet(), tmp_path / "x.pt")
    with pytest.raises(ModelRefused, match=r"layouts.*state_dict\(\)"):
        read_checkpoint(tmp_path / "x.pt", LIMIT)


def test_a_pickle_cannot_change_the_placeholder_class(tmp_path: Path) -> None:
    # Stack: the class itself, then BUILD with a state for it.
    code = b"\x80\x02ctorchxrayvision.models\nDenseNet\nN}U\x0cdump_patchesK\x01s\x86b."
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    header = pickle.dumps(1001, protocol=2) + pickle.dumps({}, protocol=2)
    (tmp_path / "x.pt").write_bytes(magic + header + code)
    with pytest.raises(ModelRefused):
        read_checkpoint(tmp_path / "x.pt", LIMIT)
    assert Placeholder.dump_patches is False


def test_a_truncated_checkpoint_is_refused_at_any_length(tmp_path: Path) -> None:
    for legacy in (False, True):
        save_torchxrayvision(tmp_path / "x.pt", legacy=legacy)
        whole = (tmp_path / "x.pt").read_bytes()
        for share in (0.0, 0.01, 0.3, 0.7, 0.99):
            (tmp_path / "y.pt").write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(ModelRefused):
                read_checkpoint(tmp_path / "y.pt", LIMIT)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = densenet().state_dict()
    state["classifier.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(ModelRefused, match="not finite"):
        read_checkpoint(tmp_path / "x.pt", LIMIT)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * (LIMIT + 1))
    with pytest.raises(ModelRefused, match="unpacks to more"):
        read_checkpoint(tmp_path / "x.pt", LIMIT)


def test_few_bytes_that_claim_many_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(2_000_000_000)}, tmp_path / "x.pt")
    with pytest.raises(ModelRefused, match="more than"):
        read_checkpoint(tmp_path / "x.pt", LIMIT)


def test_weights_of_another_network_are_refused_by_name() -> None:
    with pytest.raises(ModelRefused, match=r"lacks features\.conv0\.weight|conv2"):
        densenet_of({"conv1.weight": torch.zeros(4, 3, 7, 7)})
    state = densenet().state_dict() | {"attention.weight": torch.zeros(3)}
    with pytest.raises(ModelRefused, match=r"attention\.weight"):
        densenet_of(state)
