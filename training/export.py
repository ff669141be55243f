"""From a trained text network to a folder of the model repository: ONNX, manifest and card.

Nothing here trains or measures quality; it measures that the exported file computes what the
torch module computes, and that a row's output does not depend on its batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.backends import Tensors
from models.backends.onnx import OnnxBackend
from models.manifest import Manifest, Metric, write_manifest
from models.repository import sha256_of

OPSET = 17
NETWORK = "model.onnx"


def pad(rows: Sequence[Tensors]) -> dict[str, NDArray[np.generic]]:
    """One-row tensors [1, L_i] as one batch [N, max L], each input padded with 0."""
    longest = {name: max(row[name].shape[1] for row in rows) for name in rows[0]}
    return {
        name: np.concatenate(
            [np.pad(row[name], ((0, 0), (0, length - row[name].shape[1]))) for row in rows]
        )
        for name, length in longest.items()
    }


def export_onnx(
    net: torch.nn.Module,
    example: Mapping[str, torch.Tensor],
    outputs: Mapping[str, Sequence[int]],
    path: Path,
) -> None:
    """Write `path`: one file, axes 0 (batch) and 1 (length) of every input dynamic.

    Inputs of one length in `example` share it, others have their own. `outputs` lists for every
    output, in the network's order, which of these axes of the first input it keeps.
    Constants are not folded here: weights stay stored as small as the network holds them.
    """
    net.eval()
    lengths = {
        tensor.shape[1]: f"{name}_length" for name, tensor in reversed(list(example.items()))
    }
    axes = {n: {0: "batch", 1: lengths[tensor.shape[1]]} for n, tensor in example.items()}
    first = axes[next(iter(example))]
    axes |= {name: {axis: first[axis] for axis in kept} for name, kept in outputs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, tuple(example.values()), str(path), dynamo=False, opset_version=OPSET,
            input_names=list(example), output_names=list(outputs), dynamic_axes=axes,
            do_constant_folding=False,
        )  # fmt: skip
    onnx.checker.check_model(onnx.load(str(path)), full_check=True)


def parity(
    net: torch.nn.Module,
    backend: OnnxBackend,
    rows: Sequence[Tensors],
    output: str,
    place: int = 0,
) -> dict[str, float]:
    """Largest absolute differences: torch against ONNX, and a row in a batch against alone.

    `place`: the output's number where the network has several.
    """
    batch = pad(rows)
    together = backend.run(batch)[output].astype(np.float64)
    with torch.inference_mode():
        outputs = net(*(torch.from_numpy(value) for value in batch.values()))
        expected = (outputs[place] if isinstance(outputs, tuple) else outputs).numpy()
    alone = np.concatenate([backend.run(row)[output] for row in rows]).astype(np.float64)
    return {
        "torch_onnx_max_abs": float(np.abs(together - expected).max()),
        "batch_invariance_max_abs": float(np.abs(together - alone).max()),
        "rows": float(len(rows)),
    }


def write_artifact(
    folder: Path, manifest: Manifest, sections: Mapping[str, str], others: Sequence[str] = ()
) -> Manifest:
    """Write the card and the manifest with the sha256 of network, card and `others`."""
    (folder / "MODEL_CARD.md").write_text(card(manifest, sections), encoding="utf-8")
    files = {name: sha256_of(folder / name) for name in (NETWORK, "MODEL_CARD.md", *others)}
    complete = manifest.model_copy(update={"files": files})
    write_manifest(folder, complete)
    return complete


def _shown(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return f"{metric.value:.0f}" if metric.value.is_integer() else f"{metric.value:.4f}"
    return f"{metric.value:.4f} ({metric.low:.4f}-{metric.high:.4f})"


def card(manifest: Manifest, sections: Mapping[str, str]) -> str:
    """The model card's Markdown: figures come from the manifest, prose from `sections`."""
    lines = [f"# {manifest.title['en']} ({manifest.title['zh']}), version {manifest.version}", ""]
    for heading, text in sections.items():
        lines += [f"## {heading}", "", text.strip(), ""]
    lines += ["## Training data", "", "| set | rows | licence | commercial use | source |",
              "|---|---|---|---|---|"]  # fmt: skip
    lines += [
        f"| {s.name} | {s.rows} | {s.licence} | {s.commercial_use} | {s.source} |"
        for s in manifest.training_sets
    ]
    lines += ["", "## Measured (95 % intervals)", "", "| set | metric | value |", "|---|---|---|"]
    lines += [
        f"| {group} | {name} | {_shown(metric)} |"
        for group, metrics in manifest.metrics.items()
        for name, metric in metrics.items()
    ]
    lines += ["", "## Exported file against the trained network", ""]
    lines += [f"- {name}: {value:.3g}" for name, value in manifest.parity.items()]
    lines += ["", "## Notes", "", *(f"- {note}" for note in manifest.notes), ""]
    return "\n".join(lines)
