"""One step of training, for every trainer; a loss or gradient that is not finite stops the run before any damage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from portrait_anim.errors import DataError
from portrait_anim.training.distributed import ProcessGroup


def check_finite(clip: str, tensors: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Raise DataError, with the clip's name, if any of its arrays holds a NaN or an infinity."""
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise DataError(f"clip {clip}: its {name} holds values that are not numbers; prepare it again or remove it")


def take_step(
    loss: Tensor,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Tensor],
    clips: Callable[[], Sequence[str]],
    *,
    max_norm: float = math.inf,
    world: ProcessGroup | None = None,
) -> None:
    """Take the gradient of a loss and one step of the optimiser, or stop before anything has changed.

    Args:
        loss: of this process's share of the batch.
        net: whose parameters the optimiser moves.
        optimiser: of these parameters.
        batch: tensors (B, ...) that went into the loss, of the whole batch.
        clips: returns the names (B,) of the batch's clips; asked only when the step fails.
        max_norm: longer gradients are shortened to this length.
        world: the processes that train together; all of them stop at the same step.

    Raises:
        DataError: the loss or its gradient is not finite; net and optimiser are as they were before the step.
    """
    world = world or ProcessGroup()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    world.sum_gradients(net)
    norm = nn.utils.clip_grad_norm_(net.parameters(), max_norm)
    if not math.isfinite(float(world.total(loss.detach()))) or not math.isfinite(float(norm)):
        optimiser.zero_grad()
        raise DataError(_message(batch, clips()))
    optimiser.step()


def _message(batch: Sequence[Tensor], clips: Sequence[str]) -> str:
    """Return what went wrong: which clips are broken, or which were in the batch when the training diverged."""
    broken = [
        clip for row, clip in enumerate(clips) if not all(bool(torch.isfinite(part[row]).all()) for part in batch)
    ]
    if broken:
        return (
            f"training stopped: not all values of these clips are numbers: {_listed(broken)}; prepare them again or "
            "remove them, then start it again: it goes on from the last checkpoint"
        )
    return (
        "training stopped: the loss or its gradient is no longer a number, though the clips' values are; look at the "
        f"clips of this batch or lower the learning rate: {_listed(clips)}; the last checkpoint is kept"
    )


def _listed(clips: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(clips))
