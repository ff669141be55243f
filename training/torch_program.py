"""From an exported network to the torch program beside it, for GPUs (docs/backends.md).

The program computes what the ONNX file computes: batch normalisation is folded into the
convolutions, and weights that the file stores as int8 are taken from there. Both is checked on
real rows, in every precision and on every device at hand; the manifest says how far each moved.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from models.backends import Tensors
from models.backends.onnx import OnnxBackend
from models.backends.options import BackendOptions, Device
from models.backends.parity import measured
from models.backends.torch import TorchBackend
from models.backends.torch_program import PROGRAM, write_program
from models.manifest import Manifest, Precision, PrecisionParity, read_manifest, write_manifest
from models.repository import sha256_of
from training.export import NETWORK

TOLERANCE = 1e-4
"""Of fp32 against the ONNX file: the same numbers, summed in another order."""
_SHORTEST, _LONGEST = 16, 512

Floats = NDArray[np.float32]


def add_program(
    folder: Path,
    net: nn.Module,
    example: Mapping[str, Tensor],
    rows: Sequence[Tensors],
    *,
    dynamic: Sequence[int] = (0, 1),
) -> Manifest:
    """Write `model.pt2` into the folder of a finished artifact, measure it on `rows` (one row
    each) and say so in the manifest.

    `net` is the module that the ONNX file was exported from. Raises ValueError where the program
    computes something else.
    """
    manifest = read_manifest(folder)
    reference = OnnxBackend(folder / NETWORK)
    lengths = length_buckets(manifest, rows) if len(dynamic) > 1 else []
    unproven = folder / f"unproven-{PROGRAM}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            served = as_served(net, example, folder / NETWORK, dynamic)
            write_program(served, example, reference.output_names, unproven, dynamic=dynamic)
        precisions = list(_measured(unproven, manifest, reference, rows))
        for parity in precisions:
            exact = parity.holds and parity.max_difference < TOLERANCE
            if parity.precision == "fp32" and not exact:
                raise ValueError(f"the torch program is not the ONNX file's network: {parity}")
        unproven.replace(folder / PROGRAM)
    finally:
        unproven.unlink(missing_ok=True)
    files = manifest.files | {PROGRAM: sha256_of(folder / PROGRAM)}
    manifest = manifest.model_copy(
        update={"length_buckets": lengths, "files": files, "precisions": precisions}
    )
    write_manifest(folder, manifest)
    return manifest


def as_served(
    net: nn.Module, example: Mapping[str, Tensor], network: Path, dynamic: Sequence[int]
) -> fx.GraphModule:
    """The network's graph as the ONNX file at `network` computes it."""
    sizes = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        program = torch.export.export(
            copy.deepcopy(net).cpu().eval(), tuple(example.values()),
            dynamic_shapes=tuple(sizes for _ in example),
        )  # fmt: skip
        module = program.module(check_guards=False)
        assert isinstance(module, fx.GraphModule)
        fold_normalisation(module)
        fold_transposition(module)
        take_stored_weights(module, network)
    return module


def length_buckets(manifest: Manifest, rows: Sequence[Tensors]) -> list[int]:
    """Powers of two up to the longest text that the model reads."""
    seen = max(tensor.shape[1] for row in rows for tensor in row.values())
    longest = min(int(manifest.preprocessing.get("longest", seen)), _LONGEST)
    buckets = [_SHORTEST]
    while buckets[-1] < longest:
        buckets.append(min(2 * buckets[-1], longest))
    return buckets


def fold_normalisation(module: fx.GraphModule) -> int:
    """Fold every batch normalisation that follows a convolution into it; how many there were."""
    aten, graph = torch.ops.aten, module.graph
    folded = 0
    for node in list(graph.nodes):
        if node.target is not aten.batch_norm.default:
            continue
        conv, training = node.args[0], node.args[5]
        if training or conv.target is not aten.conv2d.default or len(conv.users) > 1:
            continue
        scale, shift, mean, variance = (_value(module, a) for a in node.args[1:5])
        x, kernel, bias, *others = (*conv.args, None)[: max(3, len(conv.args))]
        own = None if bias is None else _value(module, bias)
        weight, offset = fuse_conv_bn_weights(
            _value(module, kernel), own, mean, variance, node.args[7], scale, shift
        )
        with graph.inserting_before(conv):
            places = []
            for what, value in (("weight", weight), ("bias", offset)):
                name = f"folded_{folded}_{what}"
                module.register_parameter(name, nn.Parameter(value.detach()))
                places.append(graph.get_attr(name))
        conv.args = (x, *places, *others)
        node.replace_all_uses_with(conv)
        graph.erase_node(node)
        folded += 1
    graph.eliminate_dead_code()
    _drop_unread(module)
    module.recompile()
    return folded


def fold_transposition(module: fx.GraphModule) -> None:
    """Give every constant that is read transposed a transposed copy, as the ONNX exporter does:
    it may store that one as int8, and the constant itself not."""
    graph = module.graph
    for number, node in enumerate(list(graph.nodes)):
        if node.target is torch.ops.aten.t.default and node.args[0].op == "get_attr":
            name = f"transposed_{number}"
            module.register_buffer(name, _value(module, node.args[0]).t().contiguous())
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.get_attr(name))
            graph.erase_node(node)
    graph.eliminate_dead_code()
    _drop_unread(module)
    module.recompile()


def take_stored_weights(module: fx.GraphModule, network: Path) -> int:
    """Set each weight that the ONNX file stores as int8 to what the file unfolds it to.

    A weight is recognised by its shape and by lying within half a step of the stored one; how many
    were taken. Raises ValueError where a parameter of a stored shape has no stored twin.
    """
    stored = list(_stored(network))
    taken = 0
    for node in module.graph.nodes:
        if node.op != "get_attr":
            continue
        weight = attrgetter(str(node.target))(module)
        alike = [(values, step) for values, step in stored if values.shape == tuple(weight.shape)]
        if not alike or not weight.is_floating_point():
            continue
        own = weight.detach().numpy()
        values = next((v for v, step in alike if (np.abs(v - own) <= 0.51 * step).all()), None)
        if values is None and not isinstance(weight, nn.Parameter):
            continue
        if values is None:
            raise ValueError(f"the ONNX file stores no weight like {node.target}")
        weight.data = torch.from_numpy(values.copy())
        taken += 1
    return taken


def _stored(network: Path) -> Iterator[tuple[Floats, Floats]]:
    """Weights of the file that are stored as int8: their values, and the steps between them."""
    arrays = {t.name: t for t in onnx.load(str(network)).graph.initializer}
    for name, tensor in arrays.items():
        scale = arrays.get(f"{name.removesuffix('_int8')}_scale")
        if name.endswith("_int8") and scale is not None:
            step = numpy_helper.to_array(scale)
            yield numpy_helper.to_array(tensor).astype(np.float32) * step, step


def _measured(
    program: Path, manifest: Manifest, reference: OnnxBackend, rows: Sequence[Tensors]
) -> Iterator[PrecisionParity]:
    devices: list[Device] = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        precision: Precision
        for precision in get_args(Precision):
            options = BackendOptions(device=device, precision=precision, cuda_graphs=False)
            candidate = TorchBackend(program, manifest, options)
            yield measured(
                manifest, reference, candidate, rows,
                runtime="torch", precision=precision, device=device,
            )  # fmt: skip
            candidate.close()


def _value(module: fx.GraphModule, node: fx.Node) -> Tensor:
    found: Tensor = attrgetter(str(node.target))(module)
    return found


def _drop_unread(module: fx.GraphModule) -> None:
    """Delete parameters and buffers that the graph no longer reads."""
    read = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    for place, _ in [*module.named_parameters(), *module.named_buffers()]:
        if place not in read:
            owner, _, name = place.rpartition(".")
            delattr(module.get_submodule(owner), name)
