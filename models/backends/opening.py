"""Which backend runs a model, and opening it: the one place that chooses.

The manifest names a backend, the operator may name another one, a device and a precision; what a
model was not measured for is refused, because its thresholds would no longer be its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from models.backends import Backend
from models.backends.onnx import OnnxBackend
from models.backends.options import BackendOptions, Provider
from models.errors import ModelUnavailable
from models.manifest import Manifest, PrecisionParity
from models.repository import ModelEntry


def options_of(
    model: str, overrides: Mapping[str, BackendOptions], providers: Sequence[Provider]
) -> BackendOptions:
    """The options of one model: its own, and the server's list of providers where it has none."""
    own = overrides.get(model, BackendOptions())
    return own.model_copy(update={"providers": own.providers or tuple(providers)})


def require_known(overrides: Iterable[str], models: Iterable[str]) -> None:
    """Raise ModelUnavailable for an override of a model that is not there."""
    known = sorted(models)
    for name in overrides:
        if name not in known:
            raise ModelUnavailable(
                f"backend options for {name}, which is not hosted; there are {', '.join(known)}"
            )


def on_gpu(manifest: Manifest, options: BackendOptions) -> bool:
    """Whether these options run the model on an accelerator."""
    if (options.backend or manifest.backend) == "torch":
        return options.device != "cpu"
    return (options.providers or ("cpu",))[0] != "cpu"


def open_backend(
    entry: ModelEntry,
    options: BackendOptions,
    *,
    threads: int,
    cores: Sequence[int] | None = None,
) -> Backend:
    """Load the network of a verified entry.

    `threads` and `cores` are what it may use of the processor (see `OnnxBackend`). Raises
    ModelUnavailable where the machine or the manifest does not allow it, ModelIntegrityError for a
    file that is not what it should be.
    """
    manifest = entry.manifest
    if (options.backend or manifest.backend) == "torch":
        _allow_torch(manifest, options)
        from models.backends.torch import TorchBackend
        from models.backends.torch_program import PROGRAM

        if PROGRAM not in manifest.files:
            raise ModelUnavailable(
                f"{manifest.name}: the torch backend needs {PROGRAM}, which this version does not "
                "have; fenzhen train writes it with --torch-program"
            )
        return TorchBackend(entry.folder / PROGRAM, manifest, options, threads=threads)
    providers = options.providers or ("cpu",)
    _allow_onnx(manifest, options, providers)
    return OnnxBackend(
        entry.network, threads=threads, providers=providers, cores=cores, options=options
    )


def _allow_torch(manifest: Manifest, options: BackendOptions) -> None:
    """In fp32 what holds on one device holds on the other: neither rounds products there."""
    measured = [p for p in manifest.precisions if p.runtime == "torch"]
    for parity in measured:
        same_device = parity.device == options.device or options.precision == "fp32"
        if parity.precision == options.precision and same_device and parity.holds:
            return
    wanted = f"torch in {options.precision} on {options.device}"
    raise ModelUnavailable(f"{manifest.name}: {wanted} {_told(measured)}")


def _allow_onnx(manifest: Manifest, options: BackendOptions, providers: Sequence[Provider]) -> None:
    if options.precision == "fp32":
        return
    if options.precision == "bf16" or "tensorrt" not in providers:
        raise ModelUnavailable(
            f"{manifest.name}: ONNX Runtime computes in fp32, or on tensorrt in fp16, "
            f"not in {options.precision} on {', '.join(providers)}"
        )
    measured = [p for p in manifest.precisions if p.runtime == "tensorrt"]
    if not any(p.precision == "fp16" and p.holds for p in measured):
        raise ModelUnavailable(f"{manifest.name}: tensorrt in fp16 {_told(measured)}")


def _told(measured: Sequence[PrecisionParity]) -> str:
    """Why not, and what would be allowed."""
    held = [f"{p.precision} on {p.device}" for p in measured if p.holds]
    allowed = f"it holds in {', '.join(held)}" if held else "nothing else was found to hold"
    return "was not measured, or gives other answers than the model was calibrated with; " + allowed
