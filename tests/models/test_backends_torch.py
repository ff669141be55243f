"""The torch backend: what ONNX Runtime says, alone and in company, on the CPU and on a GPU."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.backends import Backend  # noqa: E402
from models.backends.onnx import OnnxBackend  # noqa: E402
from models.backends.options import BackendOptions  # noqa: E402
from models.backends.staging import HostLane, Lanes  # noqa: E402
from models.backends.torch import TorchBackend  # noqa: E402
from models.backends.torch_precision import cast_weights  # noqa: E402
from models.backends.torch_program import PROGRAM, load_program, write_program  # noqa: E402
from models.batching import join, split  # noqa: E402
from models.errors import ModelIntegrityError, ModelRunError, ModelUnavailable  # noqa: E402
from models.manifest import TensorSpec  # noqa: E402
from models.repository import ModelEntry  # noqa: E402
from tests.models.small_networks import (  # noqa: E402
    image_model,
    largest_difference,
    pictures,
    sentences,
    text_model,
)

pytestmark = pytest.mark.torch
ROWS = {"intent": sentences, "cxr_pneumonia": pictures}
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")


@pytest.fixture(scope="module", params=[text_model, image_model])
def entry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelEntry:
    """A tiny model with its torch program."""
    made: ModelEntry = request.param(tmp_path_factory.mktemp("models"))
    return made


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> ModelEntry:
    return text_model(tmp_path_factory.mktemp("texts"))


def opened(entry: ModelEntry, *, pad: bool = False, **options: object) -> TorchBackend:
    found = BackendOptions.model_validate(options)
    return TorchBackend(entry.folder / PROGRAM, entry.manifest, found, pad=pad)


@pytest.mark.parametrize("pad", [False, True])
def test_torch_computes_what_onnx_runtime_does(entry: ModelEntry, pad: bool) -> None:
    reference, backend = OnnxBackend(entry.network), opened(entry, pad=pad, max_batch=8)
    for count in (1, 3, 8, 11):  # 11 rows have no bucket
        batch = join(ROWS[entry.manifest.name](count, count))
        assert largest_difference(reference.run(batch), backend.run(batch)) < 1e-5


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-5), ("bf16", 1e-2), ("fp16", 1e-2)])
@pytest.mark.parametrize("pad", [False, True])
def test_a_row_alone_and_among_fifteen_others_says_the_same(
    entry: ModelEntry, precision: str, limit: float, pad: bool
) -> None:
    backend = opened(entry, pad=pad, max_batch=16, precision=precision)
    rows = ROWS[entry.manifest.name](16, 7)
    shared = split(backend.run(join(rows)), [1] * 16)
    for row, company in zip(rows, shared, strict=True):
        alone = backend.run(row)
        scale = max(1.0, *(float(np.abs(value).max()) for value in alone.values()))
        assert largest_difference(alone, company) < limit * scale
        assert alone["logits"].argmax() == company["logits"].argmax()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_is_near_full_precision_and_not_it(entry: ModelEntry, precision: str) -> None:
    batch = join(ROWS[entry.manifest.name](16, 3))
    full, low = opened(entry).run(batch), opened(entry, precision=precision).run(batch)
    scale = max(1.0, *(float(np.abs(value).max()) for value in full.values()))
    assert 0 < largest_difference(full, low) < 2e-2 * scale
    assert (full["logits"].argmax(axis=1) == low["logits"].argmax(axis=1)).all()
    assert {value.dtype for value in low.values()} == {np.dtype(np.float32)}


def test_only_weights_of_products_are_stored_in_low_precision(entry: ModelEntry) -> None:
    program = load_program(entry.folder / PROGRAM)
    before = {name: p.dtype for name, p in program.module.named_parameters()}
    assert set(before.values()) == {torch.float32}
    assert cast_weights(program.module, "bf16") > 3
    after = {name: p.dtype for name, p in program.module.named_parameters()}
    assert {name for name in after if "norm" in name or "before_" in name} <= {
        name for name, dtype in after.items() if dtype == torch.float32
    }


def test_a_program_moves_to_another_device_with_every_constant(entry: ModelEntry) -> None:
    # The device `meta` computes shapes alone: a tensor left behind on the CPU would be an error.
    program = load_program(entry.folder / PROGRAM, "meta")
    batch = join(ROWS[entry.manifest.name](3))
    outputs = program([torch.from_numpy(batch[name]).to("meta") for name in program.inputs])
    assert {output.device.type for output in outputs} == {"meta"}
    tensors = [*program.module.parameters(), *program.module.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_outputs_are_named_and_typed_as_in_the_manifest(entry: ModelEntry) -> None:
    found = opened(entry).run(join(ROWS[entry.manifest.name](2)))
    declared = {spec.name: spec for spec in entry.manifest.outputs}
    assert set(found) == set(declared)
    for name, value in found.items():
        assert value.dtype == declared[name].dtype
        assert len(value.shape) == len(declared[name].shape)


@pytest.mark.parametrize("wrong", ["name", "shape", "dtype"])
def test_a_program_that_is_not_the_manifests_is_refused(texts: ModelEntry, wrong: str) -> None:
    [spec] = texts.manifest.outputs
    changed = {
        "name": spec.model_copy(update={"name": "scores"}),
        "shape": spec.model_copy(update={"shape": [-1, 9]}),
        "dtype": spec.model_copy(update={"dtype": "float16"}),
    }[wrong]
    manifest = texts.manifest.model_copy(update={"outputs": [changed]})
    with pytest.raises(ModelIntegrityError, match=r"model\.pt2"):
        TorchBackend(texts.folder / PROGRAM, manifest)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"pieces": np.ones((2, 5), dtype=np.int32)},
        {"pieces": np.ones(5, dtype=np.int64)},
        {"pieces": np.ones((0, 5), dtype=np.int64)},
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    texts: ModelEntry, inputs: dict[str, np.ndarray]
) -> None:
    with pytest.raises(ModelRunError, match="input pieces is not int64"):
        opened(texts).run(inputs)


def test_what_the_network_cannot_do_is_one_error_and_not_the_end(texts: ModelEntry) -> None:
    backend = opened(texts)
    with pytest.raises(ModelRunError):
        backend.run({"pieces": np.full((1, 3), 10_000)})  # no such piece
    assert backend.run({"pieces": np.full((1, 3), 4)})["logits"].shape == (1, 2)


def test_many_callers_at_once_get_their_own_answers(entry: ModelEntry) -> None:
    backend: Backend = opened(entry, pad=True)
    rows = ROWS[entry.manifest.name](24, 1)
    wanted = [backend.run(row) for row in rows]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(backend.run, rows))
    for one, other in zip(wanted, found, strict=True):
        assert largest_difference(one, other) < 1e-5


def test_callers_inputs_stay_as_they_are(entry: ModelEntry) -> None:
    batch = join(ROWS[entry.manifest.name](4))
    before = {name: value.copy() for name, value in batch.items()}
    for value in batch.values():
        value.setflags(write=False)
    opened(entry).run(batch)
    assert largest_difference(before, batch) == 0


def test_a_closed_backend_says_so(texts: ModelEntry) -> None:
    backend = opened(texts)
    backend.close()
    backend.close()
    with pytest.raises(ModelRunError, match="closed"):
        backend.run(sentences(1)[0])


def test_a_calling_thread_uses_as_many_threads_as_the_backend_has(texts: ModelEntry) -> None:
    one = TorchBackend(texts.folder / PROGRAM, texts.manifest, threads=1)
    two = TorchBackend(texts.folder / PROGRAM, texts.manifest, threads=2)
    used = []
    for backend in (two, one):
        backend.run(sentences(1)[0])
        used.append(torch.get_num_threads())
    assert used == [2, 1]


def test_a_lane_is_lent_to_one_caller_and_all_lanes_to_nobody_else() -> None:
    lanes, inside = Lanes([HostLane(), HostLane()]), threading.Event()
    with lanes.lent() as one, lanes.lent() as other:
        assert one is not other
        waiting = threading.Thread(target=lambda: _enter_all(lanes, inside))
        waiting.start()
        assert not inside.wait(0.05)
    assert inside.wait(5)
    waiting.join()


def _enter_all(lanes: Lanes, inside: threading.Event) -> None:
    with lanes.all():
        inside.set()


class Doubling(torch.nn.Module):
    """Writes to its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [N, 3]."""
        return x.mul_(2)


def test_what_a_network_writes_to_its_inputs_is_not_its_callers(
    tmp_path: Path, texts: ModelEntry
) -> None:
    write_program(Doubling(), {"x": torch.ones(2, 3)}, ["y"], tmp_path / PROGRAM, dynamic=(0,))
    spec = TensorSpec(name="x", dtype="float32", shape=[-1, 3])
    manifest = texts.manifest.model_copy(
        update={"inputs": [spec], "outputs": [spec.model_copy(update={"name": "y"})]}
    )
    x = np.ones((1, 3), dtype=np.float32)
    assert TorchBackend(tmp_path / PROGRAM, manifest).run({"x": x})["y"].tolist() == [[2, 2, 2]]
    assert x.tolist() == [[1, 1, 1]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(texts: ModelEntry) -> None:
    with pytest.raises(ModelUnavailable, match=r"cuda:0 was asked for, .* sees 0 GPUs"):
        opened(texts, device="cuda")


@on_gpu
@pytest.mark.parametrize("graphs", [True, False])
def test_on_a_gpu_every_shape_says_what_onnx_runtime_says(entry: ModelEntry, graphs: bool) -> None:
    reference = OnnxBackend(entry.network)
    backend = opened(entry, device="cuda", max_batch=8, cuda_graphs=graphs)
    for count in (1, 3, 8, 11, 2):
        batch = join(ROWS[entry.manifest.name](count, count))
        assert largest_difference(reference.run(batch), backend.run(batch)) < 1e-4


@on_gpu
def test_on_a_gpu_callers_at_once_get_their_own_answers(entry: ModelEntry) -> None:
    backend = opened(entry, device="cuda", max_batch=8)
    rows = ROWS[entry.manifest.name](200, 1)
    wanted = [backend.run(row) for row in rows]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(backend.run, rows))
    for one, other in zip(wanted, found, strict=True):
        assert largest_difference(one, other) < 1e-4
