"""Who chooses a model's backend, and what is refused with which words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from models.backends.onnx import OnnxBackend
from models.backends.opening import open_backend, options_of, require_known
from models.backends.options import BackendOptions
from models.backends.warm_up import zeros
from models.errors import ModelUnavailable
from models.manifest import PrecisionParity
from models.repository import ModelEntry, ModelRepository
from serving.settings import Settings

ENTRY = ModelRepository().get("cxr_pneumonia")


def options(**given: object) -> BackendOptions:
    return BackendOptions.model_validate(given)


def with_parity(*found: tuple[str, str, str, float, int]) -> ModelEntry:
    """The shipped X-ray model as if it had been measured so."""
    fields = ("runtime", "precision", "device", "max_difference", "decisions_changed")
    measured = [
        PrecisionParity.model_validate(dict(zip(fields, one, strict=True)) | {"rows": 9})
        for one in found
    ]
    manifest = ENTRY.manifest.model_copy(update={"precisions": measured})
    return ModelEntry(manifest, ENTRY.folder)


def test_onnx_runtime_on_the_processor_is_what_a_model_gets_unasked() -> None:
    backend = open_backend(ENTRY, BackendOptions(), threads=1)
    assert isinstance(backend, OnnxBackend)
    found = backend.run(zeros(ENTRY.manifest, 2))
    assert {name: str(v.dtype) for name, v in found.items()} == {
        spec.name: spec.dtype for spec in ENTRY.manifest.outputs
    }


def test_own_options_win_over_the_servers_providers() -> None:
    overrides = {"a": options(providers=["cpu"]), "b": options(device_id=1)}
    found = {name: options_of(name, overrides, ("cuda", "cpu")) for name in "abc"}
    assert {name: o.providers for name, o in found.items()} == {
        "a": ("cpu",), "b": ("cuda", "cpu"), "c": ("cuda", "cpu"),
    }  # fmt: skip
    assert found["b"].device_id == 1


def test_options_for_a_model_that_is_not_hosted_are_refused() -> None:
    with pytest.raises(ModelUnavailable, match="for knee, which is not hosted; there are a, b"):
        require_known(["knee"], ["b", "a"])


def test_settings_take_backends_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"cxr_pneumonia": {"backend": "torch", "device": "cuda", "precision": "bf16"}}
    monkeypatch.setenv("FENZHEN_BACKENDS", json.dumps(given))
    monkeypatch.setenv("FENZHEN_PROVIDERS", '["cuda", "cpu"]')
    settings = Settings()
    assert settings.providers == ("cuda", "cpu")
    assert settings.backends["cxr_pneumonia"].precision == "bf16"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"backend": "jax"}, "'onnxruntime' or 'torch'"),
        ({"precision": "int8"}, "'fp32', 'bf16' or 'fp16'"),
        ({"providers": []}, "at least 1 item"),
        ({"providers": ["cpu", "cpu"]}, "a provider is named twice"),
        ({"providers": ["rocm"]}, "'cpu', 'cuda' or 'tensorrt'"),
        ({"device_id": -1}, "greater than or equal to 0"),
        ({"graphs": True}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        options(**wrong)


def test_a_precision_that_was_not_measured_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="cxr_pneumonia: torch in fp32 on cpu was not meas"):
        open_backend(ENTRY, options(backend="torch"), threads=1)


def test_a_precision_that_changes_answers_is_refused_and_one_that_holds_is_named() -> None:
    entry = with_parity(
        ("torch", "fp32", "cpu", 1e-6, 0),
        ("torch", "fp16", "cpu", 2e-3, 0),
        ("torch", "bf16", "cpu", 2e-3, 1),
        ("torch", "bf16", "cuda", 0.02, 0),
    )
    held = "it holds in fp32 on cpu, fp16 on cpu"
    for device in ("cpu", "cuda"):
        with pytest.raises(ModelUnavailable, match=f"torch in bf16 on {device} .*{held}"):
            open_backend(
                entry, options(backend="torch", precision="bf16", device=device), threads=1
            )
    with pytest.raises(ModelUnavailable, match="torch in fp16 on cuda was not measured"):
        open_backend(entry, options(backend="torch", precision="fp16", device="cuda"), threads=1)


def test_a_version_without_a_program_says_how_to_make_one() -> None:
    entry = with_parity(("torch", "fp32", "cpu", 1e-6, 0))
    with pytest.raises(ModelUnavailable, match=r"needs model\.pt2, .*--torch-program"):
        open_backend(entry, options(backend="torch"), threads=1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"precision": "bf16"}, "ONNX Runtime computes in fp32"),
        ({"precision": "fp16"}, "not in fp16 on cpu"),
        ({"precision": "fp16", "providers": ["tensorrt"]}, "tensorrt in fp16 was not measured"),
    ],
)
def test_onnx_runtime_in_less_than_fp32_is_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ModelUnavailable, match=why):
        open_backend(ENTRY, options(**given), threads=1)


def test_without_torch_the_message_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "import models.backends.opening\n"
        "from models.backends.torch_program import load_program\n"
        f"load_program(Path({str(tmp_path / 'model.pt2')!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert "ModelUnavailable: the torch backend needs torch" in done.stderr
    assert "pip install 'fenzhen[train]'" in done.stderr


def test_choosing_a_backend_imports_no_torch() -> None:
    script = (
        "import sys\n"
        "from models.backends.opening import open_backend\n"
        "from models.backends.options import BackendOptions\n"
        "from models.repository import ModelRepository\n"
        "open_backend(ModelRepository().get('department'), BackendOptions(), threads=1)\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


@pytest.mark.torch
def test_the_manifest_and_the_operator_choose_between_the_two(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from models.backends.torch import TorchBackend
    from tests.models.small_networks import largest_difference, sentences, text_model

    entry = text_model(tmp_path)
    entry.verify()
    told = ModelEntry(entry.manifest.model_copy(update={"backend": "torch"}), entry.folder)
    by_manifest = open_backend(told, BackendOptions(), threads=1)
    by_operator = open_backend(entry, options(backend="torch", precision="bf16"), threads=1)
    plain = open_backend(told, options(backend="onnxruntime"), threads=1)
    assert isinstance(by_manifest, TorchBackend)
    assert isinstance(by_operator, TorchBackend)
    assert isinstance(plain, OnnxBackend)
    row = sentences(1)[0]
    assert largest_difference(by_manifest.run(row), plain.run(row)) < 1e-5
    assert 0 < largest_difference(by_operator.run(row), plain.run(row)) < 1e-2
    assert np.isfinite(plain.run(row)["logits"]).all()
