"""A torch program in bf16 or fp16: weights stored so, products in it, sums in fp32.

autocast (Micikevicius et al. 2018) chooses the operators: matrix products and convolutions in the
low precision; norms, softmax and powers in fp32. Weights that only such products read are cast
once, here, and not at every batch; all others stay fp32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import TYPE_CHECKING

from models.manifest import Precision

if TYPE_CHECKING:
    import torch

_PRODUCTS = frozenset({"conv2d", "linear", "matmul", "mm", "bmm", "addmm"})


def dtype_of(precision: Precision) -> torch.dtype:
    """torch's type."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def cast_weights(module: torch.fx.GraphModule, precision: Precision) -> int:
    """Cast, in place, the weights that only products read; how many there are."""
    import torch

    if precision == "fp32":
        return 0
    read: dict[str, set[str]] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            read.setdefault(str(node.target), set()).update(_name(user) for user in node.users)
    cast = 0
    for place, readers in read.items():
        tensor = attrgetter(place)(module)
        if tensor.dtype == torch.float32 and readers <= _PRODUCTS:
            # `.data` keeps the parameter that several places of the module may share.
            tensor.data = tensor.data.to(dtype_of(precision))
            cast += 1
    return cast


def computing(device: str, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a program of this precision runs."""
    import torch

    if precision == "fp32":
        return nullcontext()
    # Without the cache: what a CUDA graph captures must not outlive the capture.
    return torch.autocast(device, dtype_of(precision), cache_enabled=False)


def exact_sums() -> None:
    """Whole fp32 on GPUs: no TF32, and no sums in half precision. Holds for the process."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def _name(node: torch.fx.Node) -> str:
    """`linear` of `torch.ops.aten.linear.default`."""
    import torch

    target = node.target
    return target._schema.name.split("::")[1] if isinstance(target, torch._ops.OpOverload) else ""
