"""ONNX Runtime: providers by list, threads on their own cores, and a session that can be closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from models.backends import Tensor
from models.backends.onnx import Bindings, OnnxBackend, affinities
from models.backends.options import BackendOptions
from models.backends.providers import configured, installed
from models.batching import join
from models.errors import ModelRunError, ModelUnavailable
from models.repository import ModelEntry, ModelRepository

CORES = sorted(os.sched_getaffinity(0))
ENTRY = ModelRepository().get("cxr_pneumonia")

two_cores = pytest.mark.skipif(len(CORES) < 2, reason="needs two processor cores")
no_cuda = pytest.mark.skipif("cuda" in installed(), reason="this onnxruntime has CUDA")
with_cuda = pytest.mark.skipif("cuda" not in installed(), reason="no GPU build of onnxruntime")


def pictures(count: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(count, *ENTRY.manifest.inputs[0].shape[1:])).astype("f")}


@contextmanager
def new_threads() -> Iterator[Callable[[], set[int]]]:
    """The threads of this process that were not there before."""
    before = set(os.listdir("/proc/self/task"))
    yield lambda: {int(t) for t in set(os.listdir("/proc/self/task")) - before}


def run_on(core: int, backend: OnnxBackend) -> dict[str, Tensor]:
    os.sched_setaffinity(0, {core})
    return backend.run(pictures(4))


@two_cores
def test_the_threads_of_two_backends_keep_to_their_own_cores() -> None:
    found = []
    for cores in (CORES[:2], CORES[1::-1]):
        with new_threads() as started:
            backend = OnnxBackend(ENTRY.network, threads=2, cores=cores)
            backend.run(pictures(2))
            found.append({thread: os.sched_getaffinity(thread) for thread in started()})
    one, other = found
    assert not set(one) & set(other)
    # The calling thread is the first of two, so each session has one of its own.
    assert list(one.values()) == [{CORES[1]}]
    assert list(other.values()) == [{CORES[0]}]


@two_cores
def test_backends_of_one_thread_run_where_their_callers_are_pinned() -> None:
    with new_threads() as started:
        backends = [OnnxBackend(ENTRY.network, threads=1, cores=[core]) for core in CORES[:2]]
        assert not started()
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            jobs = [
                pool.submit(run_on, core, backend)
                for pool, core, backend in zip((first, second), CORES, backends, strict=False)
            ]
            one, other = (job.result() for job in jobs)
            assert sorted(tuple(os.sched_getaffinity(t)) for t in started()) == [
                (core,) for core in CORES[:2]
            ]
    np.testing.assert_array_equal(one["logits"], other["logits"])


def test_threads_without_a_core_each_are_refused() -> None:
    with pytest.raises(ModelUnavailable, match="2 threads and 1 cores"):
        affinities(2, [CORES[0], CORES[0]])
    with pytest.raises(ModelUnavailable, match="may not use core 4000"):
        OnnxBackend(ENTRY.network, threads=1, cores=[4000])
    assert affinities(1, CORES[:1]) == ""


def test_many_callers_at_once_get_their_own_answers() -> None:
    backend, images = OnnxBackend(ENTRY.network), pictures(12)["image"]
    wanted = backend.run({"image": images})["logits"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: backend.run({"image": images[i : i + 1]}), range(12)))
    np.testing.assert_allclose(np.concatenate([f["logits"] for f in found]), wanted, atol=1e-5)


def test_a_closed_backend_says_so_and_closing_twice_is_closing_once() -> None:
    backend = OnnxBackend(ENTRY.network)
    backend.close()
    backend.close()
    with pytest.raises(ModelRunError, match="closed"):
        backend.run(pictures(1))


@no_cuda
@pytest.mark.parametrize("word", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_installed_is_named_with_what_to_install(word: str) -> None:
    with pytest.raises(ModelUnavailable, match=rf"provider {word} .* has cpu: .*fenzhen\[gpu\]"):
        OnnxBackend(ENTRY.network, providers=(word, "cpu"))  # type: ignore[arg-type]


def test_a_provider_that_does_not_start_is_no_slower_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As with the GPU build on a machine without a driver: listed, left out of the session.
    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.raises(ModelUnavailable, match="cuda is installed but did not start"):
        OnnxBackend(ENTRY.network, providers=("cuda", "cpu"))


def test_every_provider_gets_the_options_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: names)
    options = BackendOptions(
        device_id=1, precision="fp16", memory_limit_mb=512, arena="exact", engine_cache=tmp_path
    )
    found = configured(("tensorrt", "cuda", "cpu"), options)
    assert [name for name, _ in found] == names
    tensorrt, cuda, cpu = (given for _, given in found)
    assert tensorrt["trt_fp16_enable"] == tensorrt["trt_engine_cache_enable"] == "1"
    assert tensorrt["trt_engine_cache_path"] == str(tmp_path)
    assert cuda == {
        "device_id": "1", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0",
        "gpu_mem_limit": str(512 * 2**20),
    }  # fmt: skip
    assert cpu == {}
    plain = dict(configured(("tensorrt", "cuda"), BackendOptions()))
    assert plain[names[0]] == {"device_id": "0", "trt_fp16_enable": "0"}
    assert "gpu_mem_limit" not in plain[names[1]]


@pytest.mark.parametrize("name", ["cxr_pneumonia", "entities"])
def test_bound_inputs_and_outputs_compute_what_a_plain_run_does(name: str) -> None:
    entry = ModelRepository(allow_noncommercial=True).get(name)
    session = ort.InferenceSession(str(entry.network), providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    bound = Bindings(session, outputs, 0, "cpu")
    for batch in (2, 5, 1):
        rows = _rows(entry, batch)
        for one, other in zip(bound.run(rows), session.run(None, rows), strict=True):
            np.testing.assert_array_equal(one, other)


@with_cuda
def test_on_a_gpu_the_answers_are_those_of_the_cpu() -> None:
    wanted = OnnxBackend(ENTRY.network).run(pictures(5))
    found = OnnxBackend(ENTRY.network, providers=("cuda", "cpu")).run(pictures(5))
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=1e-3, rtol=1e-3)


def _rows(entry: ModelEntry, count: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(count)
    return join(
        [
            {
                spec.name: rng.integers(1, 9, [1, *(7 if s < 0 else s for s in spec.shape[1:])])
                .astype(spec.dtype)
                for spec in entry.manifest.inputs
            }
            for _ in range(count)
        ]
    )  # fmt: skip
