"""Networks that compute nothing, of known cost: to load-test a server without its models.

`echo` returns at once; `sleep:5+0.5n` returns after 5 ms and half a millisecond for each row of
the batch, holding its worker as a network does. Both give back what they got.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from models.backends import Tensor, Tensors
from models.manifest import Manifest, TensorSpec
from models.repository import ModelEntry

TASK = "synthetic"
_SLEEP = re.compile(r"sleep:(\d{1,5}(?:\.\d+)?)\+(\d{1,5}(?:\.\d+)?)n")


def entry_of(text: str) -> ModelEntry:
    """The entry of `echo` or `sleep:BASE+ROWn` (milliseconds); ValueError for anything else."""
    found = _SLEEP.fullmatch(text)
    if found is None and text != "echo":
        raise ValueError("a synthetic model is echo, or like sleep:5+0.5n")
    name = text.partition(":")[0]
    costs = () if found is None else map(float, found.groups())
    manifest = Manifest(
        name=name,
        version=1,
        task=TASK,
        title={"zh": f"负载测试：{name}", "en": f"Load test: {name}"},
        inputs=[TensorSpec(name="x", dtype="float32", shape=[-1, -1])],
        outputs=[TensorSpec(name="y", dtype="float32", shape=[-1, -1])],
        preprocessing=dict(zip(("base_ms", "row_ms"), costs, strict=False)),
        training_sets=[],
        files={},
    )
    return ModelEntry(manifest, Path())


class Synthetic:
    """Gives back its input `x` as `y` after `base_ms` and `row_ms` for each row."""

    def __init__(self, manifest: Manifest) -> None:
        self._base_s = float(manifest.preprocessing.get("base_ms", 0.0)) / 1e3
        self._row_s = float(manifest.preprocessing.get("row_ms", 0.0)) / 1e3

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        """See `Backend.run`."""
        x = inputs["x"]
        if pause := self._base_s + self._row_s * len(x):
            time.sleep(pause)
        return {"y": x}

    def close(self) -> None:
        """Nothing to free."""
