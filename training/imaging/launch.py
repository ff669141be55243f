"""Where training runs: one process on the CPU or a GPU, or several under torch's own launcher.

`torchrun --nproc-per-node N -m serving.cli train imaging …` sets RANK and WORLD_SIZE; each process
takes its share of every batch and gradients are averaged. The first process alone writes files.
"""

from __future__ import annotations

import os

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


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


def parallel(net: nn.Module) -> nn.Module:
    """The network with gradients averaged over all processes; the network itself when alone."""
    if world() == 1:
        return net
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return DistributedDataParallel(net, find_unused_parameters=True)


def meet() -> None:
    """Wait for all processes."""
    if world() > 1 and distributed.is_initialized():
        distributed.barrier()
