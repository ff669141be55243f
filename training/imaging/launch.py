"""Where training runs: one process on the CPU or a GPU, or several under torch's own launcher.

`torchrun --nproc-per-node N -m serving.cli train imaging …` sets RANK and WORLD_SIZE; each process
takes its share of every batch and gradients are averaged. The first process (the leader) alone
writes files, scores and decides; the others take what it found. All of them must see the same
folders.
"""

from __future__ import annotations

import atexit
import os
from typing import TypeVar, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from training.imaging.errors import CannotTrain

FoundT = TypeVar("FoundT")


def world() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def leads() -> bool:
    """Whether this process writes files and shows progress."""
    return rank() == 0


def device() -> torch.device:
    """This process's GPU where there is one."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def check_shares(samples: int, batch: int) -> None:
    """Raises CannotTrain unless an epoch has a batch and every process an equal share of it.

    samples: draws of an epoch; batch: images of a batch over all processes.
    """
    if batch % world():
        raise CannotTrain(
            f"optimisation.batch_size {batch} cannot be shared evenly by {world()} processes"
        )
    if samples < batch:
        raise CannotTrain(
            f"optimisation.samples_per_epoch {samples} is less than one batch of {batch}"
        )


def check_precision(precision: str) -> None:
    """Raises CannotTrain for bf16 on a GPU that has none and would only imitate it."""
    if precision != "bf16" or not torch.cuda.is_available():
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise CannotTrain("this GPU does not compute bf16: set optimisation.precision to fp32")


def join() -> None:
    """Meet the other processes of torchrun, once; nothing to do when alone."""
    if world() == 1 or distributed.is_initialized():
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(device())
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    atexit.register(distributed.destroy_process_group)


def parallel(net: nn.Module) -> nn.Module:
    """The network with gradients averaged over all processes; the network itself when alone."""
    if world() == 1:
        return net
    join()
    return DistributedDataParallel(net)


def meet() -> None:
    """Wait for all processes."""
    if world() > 1 and distributed.is_initialized():
        distributed.barrier()


def from_leader(found: FoundT | None) -> FoundT:
    """What the leader found, in every process; the others give None."""
    if world() > 1:
        box = [found]
        distributed.broadcast_object_list(box, src=0)
        found = box[0]
    return cast("FoundT", found)


def mean(value: float) -> float:
    """The mean over all processes."""
    if world() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device())
    distributed.all_reduce(total)
    return float(total) / world()


@torch.no_grad()
def take_from_leader(net: nn.Module) -> None:
    """Weights and buffers become the leader's.

    Gradients are averaged, so weights agree anyway; running moments of batch normalisation come
    from each process's own share of a batch.
    """
    if world() == 1:
        return
    for tensor in net.state_dict().values():
        whole = tensor.contiguous()
        distributed.broadcast(whole, src=0)
        tensor.copy_(whole)
