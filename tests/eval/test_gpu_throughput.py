"""The measurement for GPUs runs on the CPU, and says what that leaves open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eval import gpu_throughput  # noqa: E402
from eval.gpu_networks import batch_of, make  # noqa: E402
from models.backends.torch import TorchBackend  # noqa: E402
from models.backends.torch_program import PROGRAM  # noqa: E402

pytestmark = pytest.mark.torch


def test_every_network_is_measured_against_the_bare_loop(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpu_throughput.main(["--device", "cpu", "--seconds", "0.05", "--rounds", "1"])
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [one["network"] for one in found] == ["images", "texts"]
    for one in found:
        assert min(one["bare"], one["bare_copied"], one["backend"]) > 0
        [(bare, _, through)] = one["rounds"]
        assert one["share"] == pytest.approx(through / bare, rel=0.02)
        assert one["busy"] is None
        assert one["gpu"] is None
    assert "Not measured: anything of a GPU" in said.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        gpu_throughput.main([])
    assert stopped.value.code == 1
    assert "--device cpu runs the same code" in capsys.readouterr().err


def test_padding_changes_no_text_of_the_measured_network(tmp_path: Path) -> None:
    entry = make("texts", tmp_path, small=True)
    entry.verify()
    backend = TorchBackend(entry.folder / PROGRAM, entry.manifest)
    pieces = batch_of(entry, 3)["pieces"][:, :9]
    padded = np.pad(pieces, ((0, 0), (0, 7)))
    alone, company = (backend.run({"pieces": p})["scores"] for p in (pieces, padded))
    np.testing.assert_allclose(alone, company, atol=1e-5)
