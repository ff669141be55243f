"""The torch program beside an exported network computes what the ONNX file computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.backends.opening import open_backend  # noqa: E402
from models.backends.options import BackendOptions  # noqa: E402
from models.backends.torch_program import PROGRAM  # noqa: E402
from models.errors import ModelRefused, ModelUnavailable  # noqa: E402
from models.manifest import read_manifest  # noqa: E402
from models.repository import ModelEntry, ModelRepository  # noqa: E402
from tests.models.small_networks import image_model, pictures, text_model  # noqa: E402
from training.export import NETWORK  # noqa: E402
from training.torch_program import add_program, fold_normalisation, take_stored_weights  # noqa: E402

pytestmark = pytest.mark.torch


class Normalised(torch.nn.Module):
    """Convolutions, one before a normalisation and one read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Conv2d(1, 4, 3, bias=False), torch.nn.BatchNorm2d(4)
        self.second, self.other = torch.nn.Conv2d(4, 4, 3), torch.nn.BatchNorm2d(4)
        for norm in (self.norm, self.other):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [N, 1, h, w]."""
        x = self.norm(self.first(x)).relu()
        x = self.second(x)
        return (self.other(x) + x).mean((2, 3))


@pytest.fixture
def texts(tmp_path: Path) -> ModelEntry:
    return text_model(tmp_path)


def graph_of(net: torch.nn.Module, example: torch.Tensor) -> torch.fx.GraphModule:
    module = torch.export.export(net.eval(), (example,)).module(check_guards=False)
    assert isinstance(module, torch.fx.GraphModule)
    return module


def test_folding_a_normalisation_changes_nothing_but_its_place() -> None:
    torch.manual_seed(0)
    net, x = Normalised().eval(), torch.randn(2, 1, 9, 9)
    module = graph_of(net, x)
    with torch.inference_mode():
        wanted = net(x)
        # The second convolution is read twice: folding it would change what the sum reads.
        assert fold_normalisation(module) == 1
        assert torch.allclose(module(x), wanted, atol=1e-5)
    assert not any(name.startswith("first") for name, _ in module.named_parameters())


def test_the_manifest_says_what_was_measured_in_every_precision(texts: ModelEntry) -> None:
    texts.verify()
    manifest = read_manifest(texts.folder)
    assert manifest.files.keys() >= {NETWORK, PROGRAM, "MODEL_CARD.md"}
    measured = {(p.precision, p.device): p for p in manifest.precisions}
    assert measured["fp32", "cpu"].max_difference < 1e-5
    assert 1e-5 < measured["fp16", "cpu"].max_difference < 1e-2
    assert 1e-5 < measured["bf16", "cpu"].max_difference < 1e-1
    assert all(p.rows == 24 for p in measured.values())
    assert manifest.length_buckets == [16, 32, 40]


def test_a_precision_that_moves_too_far_does_not_open(tmp_path: Path) -> None:
    entry = image_model(tmp_path)
    allowed = {p.precision: p.holds for p in entry.manifest.precisions}
    assert allowed["fp32"]
    for precision, holds in allowed.items():
        options = BackendOptions.model_validate({"backend": "torch", "precision": precision})
        if holds:
            open_backend(entry, options, threads=1).close()
        else:
            with pytest.raises(ModelUnavailable, match=f"torch in {precision} on cpu"):
                open_backend(entry, options, threads=1)
    # Eight bits of mantissa are too few for this one's maps.
    assert not allowed["bf16"]


def test_a_network_other_than_the_exported_one_is_no_program_of_it(tmp_path: Path) -> None:
    entry = image_model(tmp_path)
    torch.manual_seed(99)
    stranger = torch.nn.Conv2d(8, 8, 3)
    module = graph_of(stranger, torch.zeros(1, 8, 9, 9))
    with pytest.raises(ValueError, match="the ONNX file stores no weight like"):
        take_stored_weights(module, entry.network)


def test_a_program_that_computes_something_else_is_not_kept_in_the_manifest(
    tmp_path: Path,
) -> None:
    class Other(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            flat = image.flatten(1)
            maps = image[:, :, :2, :2]
            return flat[:, :2], flat[:, :16], torch.cat([maps, maps], dim=1)

    entry = image_model(tmp_path)
    before = read_manifest(entry.folder)
    with pytest.raises(ValueError, match="is not the ONNX file's network"):
        add_program(
            entry.folder, Other(), {"image": torch.zeros(2, 1, 32, 32)}, pictures(4), dynamic=(0,)
        )
    assert read_manifest(entry.folder) == before
    entry.verify()
    assert sorted(path.name for path in entry.folder.iterdir()) == [
        "manifest.json", NETWORK, PROGRAM,
    ]  # fmt: skip


def test_a_model_from_elsewhere_may_not_bring_a_program(texts: ModelEntry) -> None:
    from models.adopt.check import check_folder

    with pytest.raises(ModelRefused, match=r"model\.pt2"):
        check_folder(texts.folder)


def test_an_altered_program_does_not_come_out_of_the_repository(
    texts: ModelEntry, tmp_path: Path
) -> None:
    from models.errors import ModelIntegrityError

    program = texts.folder / PROGRAM
    program.write_bytes(program.read_bytes() + b"\0")
    with pytest.raises(ModelIntegrityError, match=r"model\.pt2: sha256 differs"):
        ModelRepository(tmp_path).get("intent")


def test_weights_are_those_of_the_file_to_the_last_bit(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    from models.backends.torch_program import load_program

    entry = image_model(tmp_path)
    held = load_program(entry.folder / PROGRAM).module.state_dict().values()
    arrays = {
        t.name: numpy_helper.to_array(t) for t in onnx.load(str(entry.network)).graph.initializer
    }
    stored = [name.removesuffix("_int8") for name in arrays if name.endswith("_int8")]
    assert len(stored) > 3
    for name in stored:
        value = arrays[f"{name}_int8"].astype(np.float32) * arrays[f"{name}_scale"]
        assert any(w.shape == value.shape and np.array_equal(w, value) for w in held)
