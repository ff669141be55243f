"""Several processes under torch's own launcher train one network, and one of them writes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from models.repository import ModelRepository  # noqa: E402
from tests.training.imaging.pictures import (  # noqa: E402
    small,
    write_config,
    write_gate,
    write_nodules,
    write_skin,
)
from training.imaging import launch  # noqa: E402
from training.imaging.errors import CannotTrain  # noqa: E402

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave that trained together on the CPU."""
    out = tmp_path_factory.mktemp("two")
    write_skin(out / small("skin_lesion").data.train, 56)
    student = small("ct_nodule", epochs=(1, 1), distil=1, watched=())
    write_nodules(out / student.data.train, 24)
    write_nodules(out / str(student.data.dev), 12, seed=1)
    write_config(student, out / "student.yaml")
    write_config(write_gate(out / "gate"), out / "gate" / "gate.yaml")
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node", "2", str(script), str(out)]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, object]]:
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("part", ["net", "average", "served"])
def test_weights_and_running_moments_are_the_same_in_all_processes(
    part: str, ranks: list[dict[str, dict[str, object]]]
) -> None:
    first, second = (rank[part] for rank in ranks)
    assert any(name.endswith("running_mean") for name in first)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_all_processes_choose_and_stop_by_what_the_first_one_finds(
    ranks: list[dict[str, object]],
) -> None:
    assert ranks[0]["history"] == ranks[1]["history"]
    assert len(ranks[0]["history"]) > 1  # type: ignore[arg-type]


def test_the_first_process_alone_writes_and_reports(
    folder: Path, ranks: list[dict[str, object]]
) -> None:
    assert len(list((folder / "member0" / "tensorboard").iterdir())) == 1
    assert len(ranks[0]["told"]) == len(ranks[0]["history"])  # type: ignore[arg-type]
    assert ranks[1]["told"] == []


def test_student_and_gate_are_trained_together_and_packaged_once(
    folder: Path, ranks: list[dict[str, object]]
) -> None:
    assert "dev" in ranks[0]["student"]  # type: ignore[operator]
    assert "dev/fundus" in ranks[0]["gate"]  # type: ignore[operator]
    assert ranks[1]["student"] == ranks[1]["gate"] == {}
    served = ModelRepository(folder / "out")
    assert {entry.manifest.name for entry in served.entries()} == {"ct_nodule", "image_kind"}


def test_a_batch_that_cannot_be_shared_evenly_is_refused(ranks: list[dict[str, object]]) -> None:
    assert all("batch_size 7 cannot be shared evenly" in str(rank["refused"]) for rank in ranks)


def test_an_epoch_shorter_than_a_batch_is_refused() -> None:
    launch.check_shares(samples=8, batch=8)
    with pytest.raises(CannotTrain, match="less than one batch"):
        launch.check_shares(samples=7, batch=8)
