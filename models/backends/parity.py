"""Whether a network answers the same in another runtime or precision: numbers and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.backends import Backend, Tensor, Tensors
from models.batching import join
from models.calibration import ood_score
from models.imaging.questions import LOGITS, questions
from models.manifest import Manifest, Precision, PrecisionParity

_BATCH = 16
_TAGS, _URGENCY = "tags", "urgency"

Outputs = Mapping[str, Tensor]


def measured(
    manifest: Manifest,
    reference: Backend,
    candidate: Backend,
    rows: Sequence[Tensors],
    *,
    runtime: Literal["torch", "tensorrt"],
    precision: Precision,
    device: Literal["cpu", "cuda"],
) -> PrecisionParity:
    """`candidate` against `reference` on real rows, in batches of up to 16 of one length.

    Raises ValueError where one of them gives no number.
    """
    largest, changed = 0.0, 0
    for batch in _batches(rows):
        wanted, found = reference.run(batch), candidate.run(batch)
        largest = max(largest, difference(wanted, found))
        moved = decisions(manifest, wanted) != decisions(manifest, found)
        changed += int(moved.any(axis=1).sum())
    return PrecisionParity(
        runtime=runtime, precision=precision, device=device, rows=len(rows),
        max_difference=float(f"{largest:.3g}"), decisions_changed=changed,
    )  # fmt: skip


def _batches(rows: Sequence[Tensors]) -> Iterator[dict[str, Tensor]]:
    """Without padding: what an output says of it is nobody's."""

    def shapes(row: Tensors) -> list[tuple[int, ...]]:
        return [tensor.shape[1:] for tensor in row.values()]

    for _, alike in groupby(sorted(rows, key=shapes), key=shapes):
        same = list(alike)
        for start in range(0, len(same), _BATCH):
            yield join(same[start : start + _BATCH])


def difference(wanted: Outputs, found: Outputs) -> float:
    """The largest difference of any output, relative to its largest magnitude where above 1."""
    largest = 0.0
    for name, value in wanted.items():
        one, other = value.astype(np.float64), found[name].astype(np.float64)
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            raise ValueError(f"output {name} holds what is no number")
        scale = max(1.0, float(np.abs(one).max(initial=0.0)))
        largest = max(largest, float(np.abs(one - other).max(initial=0.0)) / scale)
    return largest


def decisions(manifest: Manifest, outputs: Outputs) -> NDArray[np.int64]:
    """What follows from the outputs [N, K]: the same numbers mean the same decisions.

    Of an imaging model its answers, prediction sets and whether the picture is strange; of the
    learned urgency which thresholds each probability reaches; of any other the best label, of the
    row or of each piece.
    """
    found = list(_imaging(manifest, outputs) if manifest.task == "imaging" else ())
    thresholds = np.array(sorted(manifest.thresholds.values()))
    for name, values in outputs.items():
        if name == _URGENCY:
            probabilities = 1.0 / (1.0 + np.exp(-values.astype(np.float64)))
            found.append(np.searchsorted(thresholds, probabilities))
        elif manifest.task != "imaging" and (name.startswith(LOGITS) or name == _TAGS):
            found += [part.argmax(axis=-1) for part in _by_head(manifest, name, values)]
    rows = len(next(iter(outputs.values())))
    parts = [np.asarray(part, dtype=np.int64).reshape(rows, -1) for part in found]
    return np.concatenate(parts, axis=1) if parts else np.zeros((rows, 1), dtype=np.int64)


def _by_head(manifest: Manifest, name: str, values: Tensor) -> list[Tensor]:
    """The columns of each head, where several lie side by side in one output."""
    widths = [len(head.labels) for head in manifest.heads if head.output == name]
    if sum(widths) != values.shape[-1]:
        return [values]
    return np.split(values, np.cumsum(widths)[:-1], axis=-1)


def _imaging(manifest: Manifest, outputs: Outputs) -> list[NDArray[np.generic]]:
    found: list[NDArray[np.generic]] = []
    for question in questions(manifest):
        probabilities = question.probabilities(outputs)
        found += [question.answers(probabilities), question.sets(probabilities)]
    if manifest.ood is not None:
        found.append(ood_score(outputs["features"], manifest.ood) > manifest.ood.threshold)
    return found
