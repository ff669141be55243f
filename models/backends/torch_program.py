"""The torch program beside a network, `model.pt2`: writing it, and loading it with care.

A program is what `torch.export` makes of a module: a graph of tensor operators and raw weights,
without the module's code. Files of the repository are checked against the manifest's sha256
before anybody comes here; what the archive may hold is checked once more by `torch_archive`.
torch is imported when a program is wanted and not before: the base install has none.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.backends.torch_archive import TENSORS, Tensors, check_archive
from models.errors import ModelIntegrityError, ModelUnavailable

if TYPE_CHECKING:
    import torch

PROGRAM = "model.pt2"


@dataclass(frozen=True)
class Program:
    """A loaded program: `module` takes the inputs in order and returns the outputs in order."""

    module: torch.fx.GraphModule
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __call__(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The outputs, always as a tuple."""
        found = self.module(*inputs)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def need_torch() -> None:
    """Raise ModelUnavailable, saying what to install, where there is no torch."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ModelUnavailable(
            "the torch backend needs torch, which is not installed: pip install 'fenzhen[train]'"
        ) from error


def load_program(path: Path, device: str = "cpu") -> Program:
    """Load `path` to a device, in fp32.

    Raises ModelUnavailable without torch, ModelIntegrityError for a file that is missing, damaged
    or holds what could run code.
    """
    need_torch()
    from torch.export.passes import move_to_device_pass
    from torch.export.pt2_archive._package import load_pt2

    if not path.is_file():
        raise ModelIntegrityError(f"there is no {path.name} beside the manifest")
    names = check_archive(path)
    try:
        program = load_pt2(str(path)).exported_programs["model"]
    except Exception as error:
        raise ModelIntegrityError(f"{path.name} is damaged or no torch program") from error
    if device != "cpu":
        # A program names the device of the machine that wrote it in its graph, too.
        program = move_to_device_pass(program, device)
    module = program.module(check_guards=False)
    _without_assertions(module)
    return Program(module, tuple(names.inputs), tuple(names.outputs))


def write_program(
    net: torch.nn.Module,
    example: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    dynamic: Sequence[int] = (0, 1),
) -> None:
    """Write `path` from a module on the CPU, in `eval()`, that takes the tensors of `example` in
    order.

    `example` holds two rows or more; `outputs` names what comes out, in order; `dynamic` are the
    axes of every input whose sizes vary: the batch, and for texts the length.
    """
    import torch

    sizes = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            net, tuple(example.values()), dynamic_shapes=tuple(sizes for _ in example)
        )
        # Where a node came from names files of the machine that made it; guards are code, and
        # sample inputs are pickled.
        for node in program.graph.nodes:
            node.meta = {key: node.meta[key] for key in ("val",) if key in node.meta}
        program._guards_code = []
        program._example_inputs = None
        names = Tensors(inputs=list(example), outputs=list(outputs))
        torch.export.save(program, path, extra_files={TENSORS: json.dumps(names.model_dump())})
    check_archive(path)


def _without_assertions(module: torch.fx.GraphModule) -> None:
    """Drop the graph's assertions of types: autocast changes types on purpose."""
    import torch

    asserted = torch.ops.aten._assert_tensor_metadata.default
    for node in list(module.graph.nodes):
        if node.target is asserted:
            module.graph.erase_node(node)
    module.recompile()
