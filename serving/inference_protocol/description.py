"""What the protocol says of the server and of its models, without asking any of them."""

from __future__ import annotations

from collections.abc import Mapping

from models.backends.synthetic import TASK
from models.errors import UnknownModel
from models.manifest import Manifest
from models.repository import ModelEntry, ModelRepository
from serving import __version__
from serving.hosting import Hosted
from serving.inference_protocol.signature import Signature, TensorSignature
from serving.storage.canonical import JsonObject

_EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
_PLATFORMS: Mapping[str, str] = {"onnxruntime": "onnxruntime_onnx", "torch": "pytorch_export"}


def server() -> JsonObject:
    """Server metadata."""
    return {"name": "fenzhen", "version": __version__, "extensions": list(_EXTENSIONS)}


def hosted_entry(hosted: Hosted, name: str, version: str | None) -> ModelEntry:
    """A hosted version, the one in use where none is named; raises UnknownModel."""
    if version is None:
        return hosted.latest(name)
    entry = hosted.entries.get(f"{name}@{version}")
    if entry is None:
        raise UnknownModel(f"no model {name} version {version} is hosted")
    return entry


def hosted_versions(hosted: Hosted, name: str | None, version: str | None) -> list[ModelEntry]:
    """That version, or all of the model, or of all models; raises UnknownModel for none."""
    if name is not None and version is not None:
        return [hosted_entry(hosted, name, version)]
    found = [e for e in hosted.entries.values() if name in (None, e.manifest.name)]
    if not found:
        raise UnknownModel(f"no model {name} is hosted")
    return sorted(found, key=lambda entry: (entry.manifest.name, entry.manifest.version))


def model(hosted: Hosted, signature: Signature) -> JsonObject:
    """Model metadata; `versions` are all that are hosted."""
    versions = hosted_versions(hosted, signature.name, None)
    return {
        "name": signature.name,
        "versions": [str(entry.manifest.version) for entry in versions],
        "platform": _platform(signature.entry.manifest),
        "inputs": [_tensor(spec) for spec in signature.inputs.values()],
        "outputs": [_tensor(spec) for spec in signature.outputs.values()],
    }


def configuration(signature: Signature, max_batch: int) -> JsonObject:
    """The part of Triton's model configuration that clients read; `dims` are those of a row."""
    return {
        "name": signature.name,
        "platform": _platform(signature.entry.manifest),
        "max_batch_size": max_batch,
        "input": [_configured(spec) for spec in signature.inputs.values()],
        "output": [_configured(spec) for spec in signature.outputs.values()],
        "dynamic_batching": {"priority_levels": 3, "default_priority_level": 2},
    }


def index(hosted: Hosted, repository: ModelRepository, *, ready: bool) -> list[JsonObject]:
    """The hosted versions and, unless `ready`, the models that are kept out, and why."""
    lines = [_line(entry, "READY", "") for entry in hosted_versions(hosted, None, None)]
    if ready:
        return lines
    return lines + [
        _line(entry, "UNAVAILABLE", repository.refusal(entry.manifest) or "")
        for entry in hosted.refused.values()
    ]


def _line(entry: ModelEntry, state: str, reason: str) -> JsonObject:
    name, version = entry.manifest.name, str(entry.manifest.version)
    return {"name": name, "version": version, "state": state, "reason": reason}


def _platform(manifest: Manifest) -> str:
    return TASK if manifest.task == TASK else _PLATFORMS[manifest.backend]


def _tensor(spec: TensorSignature) -> JsonObject:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _configured(spec: TensorSignature) -> JsonObject:
    return {"name": spec.name, "data_type": f"TYPE_{spec.datatype}", "dims": list(spec.shape[1:])}
