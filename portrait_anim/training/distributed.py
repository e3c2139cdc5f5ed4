"""Training on several processes, started by torchrun: each takes its share of a batch, gradients are summed.

    torchrun --nproc-per-node 2 -m portrait_anim train PREPARED

Losses are divided by the number of frames in the whole batch, not in each process's share. So two processes give the
same as one process with the whole batch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run.

    Attributes:
        rank: which of them this one is, from 0.
        size: how many there are.
        device: where this one computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def of_environment(cls, device: torch.device) -> ProcessGroup:
        """Join the processes that torchrun started; alone without it. CUDA talks over NCCL, all else over gloo."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls(device=device)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(int(os.environ["RANK"]), size, device)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def share(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """Return this process's rows of a whole batch, on its device."""
        return tuple(part[self.rank :: self.size].to(self.device) for part in batch)

    def total(self, value: Tensor) -> Tensor:
        """Sum a detached number over the processes."""
        if self.size == 1:
            return value
        summed = value.detach().clone()
        distributed.all_reduce(summed)
        return summed

    def sum_gradients(self, net: nn.Module) -> None:
        """Sum the gradients over the processes, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            distributed.barrier()

    def leave(self) -> None:
        """Close the connection."""
        if self.size > 1:
            distributed.destroy_process_group()
